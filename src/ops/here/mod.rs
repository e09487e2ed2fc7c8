//! The verbs carried out on this kernel.
