//! Programs for people: status, image commands, the demo page.
