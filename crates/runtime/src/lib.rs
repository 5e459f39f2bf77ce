//! The loops: sync, evaluate, dispatch, keep house. Never decides: the engine does.

pub mod template;
