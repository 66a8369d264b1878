//! The scheduler: framework, plugins, queue, binding.
