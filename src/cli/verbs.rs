//! The verbs of the place where boxes run.

pub use crate::ops::here::{
    check_settings, clone, doctor, down, enter, image_import, image_list, image_prune, image_pull, image_remove, list,
    logs, oci, oci_log, restart, start, status, stop, up,
};
