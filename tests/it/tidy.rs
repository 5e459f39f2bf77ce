//! tidy, to come
