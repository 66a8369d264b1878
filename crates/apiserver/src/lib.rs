//! The API server: HTTP, authentication, authorization, admission, registry. Names no kind.
