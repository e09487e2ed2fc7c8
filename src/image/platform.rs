//! Which of an image's manifests is for this computer.

use crate::image::manifest::Descriptor;
use crate::model::{Failure, Kind, Result};

/// A processor as images name it (Go's GOARCH and a variant).
fn go_platform(architecture: &str) -> (&str, Option<&str>) {
    match architecture {
        "x86_64" => ("amd64", None),
        "aarch64" => ("arm64", Some("v8")),
        "armv7l" => ("arm", Some("v7")),
        "armv6l" => ("arm", Some("v6")),
        "i686" | "i586" | "i386" => ("386", None),
        other => (other, None),
    }
}

/// The manifest in an index that suits this processor, as Linux names it: the same variant, then none, then any.
///
/// # Errors
/// There is none; says which there are.
pub fn choose<'a>(manifests: &'a [Descriptor], architecture: &str) -> Result<&'a Descriptor> {
    let (wanted, variant) = go_platform(architecture);
    let suits = |descriptor: &&Descriptor| match &descriptor.platform {
        Some(platform) => platform.os == "linux" && platform.architecture == wanted,
        None => manifests.len() == 1,
    };
    let rank = |descriptor: &&Descriptor| {
        let theirs = descriptor.platform.as_ref().and_then(|p| p.variant.as_deref()).filter(|v| !v.is_empty());
        match theirs {
            theirs if theirs == variant => 0,
            None => 1,
            Some(_) => 2,
        }
    };
    manifests.iter().filter(suits).min_by_key(rank).ok_or_else(|| {
        Failure::new(format!("the image is not made for linux/{wanted}, only for {}", list(manifests)))
            .kind(Kind::NotFound)
    })
}

fn list(manifests: &[Descriptor]) -> String {
    let mut names: Vec<String> = manifests
        .iter()
        .filter_map(|descriptor| descriptor.platform.as_ref())
        .filter(|platform| platform.os != "unknown")
        .map(|platform| match &platform.variant {
            Some(variant) => format!("{}/{}/{variant}", platform.os, platform.architecture),
            None => format!("{}/{}", platform.os, platform.architecture),
        })
        .collect();
    names.dedup();
    if names.is_empty() { "nothing".to_owned() } else { names.join(", ") }
}

/// Whether an image's config says it is for another processor than this.
///
/// # Errors
/// It is.
pub fn check_architecture(theirs: Option<&str>, ours: &str) -> Result<()> {
    let (wanted, _) = go_platform(ours);
    match theirs {
        Some(theirs) if theirs != wanted => {
            Err(Failure::new(format!("the image is made for linux/{theirs}, this computer is linux/{wanted}"))
                .hint("take an image that is made for this computer"))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::digest::Digest;
    use crate::image::manifest::Platform;

    fn descriptor(os: &str, architecture: &str, variant: Option<&str>, byte: u8) -> Descriptor {
        Descriptor {
            media_type: String::new(),
            digest: Digest::of(&[byte]),
            size: 1,
            platform: Some(Platform {
                architecture: architecture.into(),
                os: os.into(),
                variant: variant.map(Into::into),
            }),
            annotations: None,
            unnamed: false,
        }
    }

    #[test]
    fn the_best_platform_is_chosen() {
        let all = [
            descriptor("windows", "amd64", None, 0),
            descriptor("linux", "amd64", None, 1),
            descriptor("linux", "arm", Some("v6"), 2),
            descriptor("linux", "arm", Some("v7"), 3),
            descriptor("linux", "arm64", None, 4),
            descriptor("linux", "arm64", Some("v8"), 5),
        ];
        for (architecture, byte) in [("x86_64", 1), ("armv7l", 3), ("armv6l", 2), ("aarch64", 5)] {
            assert_eq!(choose(&all, architecture).unwrap().digest, Digest::of(&[byte]), "{architecture}");
        }
        let failure = choose(&all, "riscv64").unwrap_err();
        assert!(failure.to_string().contains("linux/riscv64"), "{failure}");
        assert!(failure.to_string().contains("linux/arm/v7"), "{failure}");
    }
}
