//! Makes images by hand, so that they can be wrong on purpose.

use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::Path;

/// One tar entry. `kind` is the type flag.
pub struct Entry<'a> {
    pub kind: u8,
    pub path: &'a str,
    pub link: &'a str,
    pub mode: u32,
    pub owner: (u32, u32),
    pub time: u64,
    pub data: &'a [u8],
    pub pax: &'a [(&'a str, &'a str)],
}

pub fn file<'a>(path: &'a str, data: &'a str) -> Entry<'a> {
    let (mode, owner, time) = (0o644, (0, 0), 1_000_000_000);
    Entry { kind: b'0', path, link: "", mode, owner, time, data: data.as_bytes(), pax: &[] }
}

pub fn folder(path: &str) -> Entry<'_> {
    Entry { kind: b'5', mode: 0o755, ..file(path, "") }
}

pub fn symlink<'a>(path: &'a str, link: &'a str) -> Entry<'a> {
    Entry { kind: b'2', link, mode: 0o777, ..file(path, "") }
}

pub fn hard_link<'a>(path: &'a str, link: &'a str) -> Entry<'a> {
    Entry { kind: b'1', link, ..file(path, "") }
}

pub fn device(path: &str) -> Entry<'_> {
    Entry { kind: b'3', ..file(path, "") }
}

/// A tar of entries.
pub fn tar(entries: &[Entry]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for entry in entries {
        if !entry.pax.is_empty() {
            let records: String = entry.pax.iter().map(|(key, value)| pax_record(key, value)).collect();
            block(&mut bytes, &Entry { kind: b'x', ..file("pax", &records) });
        }
        block(&mut bytes, entry);
    }
    bytes.extend([0; 1024]);
    bytes
}

fn pax_record(key: &str, value: &str) -> String {
    let rest = format!(" {key}={value}\n");
    let mut length = rest.len();
    while format!("{length}{rest}").len() != length {
        length = format!("{length}{rest}").len();
    }
    format!("{length}{rest}")
}

fn block(bytes: &mut Vec<u8>, entry: &Entry) {
    let mut header = [0_u8; 512];
    let mut put = |at: usize, text: &[u8]| header[at..at + text.len()].copy_from_slice(text);
    put(0, entry.path.as_bytes());
    put(100, format!("{:07o}", entry.mode).as_bytes());
    put(108, format!("{:07o}", entry.owner.0).as_bytes());
    put(116, format!("{:07o}", entry.owner.1).as_bytes());
    put(124, format!("{:011o}", entry.data.len()).as_bytes());
    put(136, format!("{:011o}", entry.time).as_bytes());
    put(148, b"        ");
    put(156, &[entry.kind]);
    put(157, entry.link.as_bytes());
    put(257, b"ustar\x0000");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    bytes.extend(header);
    bytes.extend(entry.data);
    bytes.resize(bytes.len().next_multiple_of(512), 0);
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub fn digest(bytes: &[u8]) -> String {
    let hex: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

/// An image: blobs by digest, its manifest among them.
#[derive(Clone)]
pub struct Made {
    pub manifest: Vec<u8>,
    pub manifest_digest: String,
    pub layers: Vec<String>,
    pub blobs: BTreeMap<String, Vec<u8>>,
}

/// An image of layers given as (blob, diff id).
pub fn image_of_blobs(layers: &[(Vec<u8>, String)]) -> Made {
    let mut blobs = BTreeMap::new();
    let mut add = |bytes: &[u8], kind: &str| {
        blobs.insert(digest(bytes), bytes.to_vec());
        let media_type = format!("application/vnd.oci.image.{kind}");
        serde_json::json!({"mediaType": media_type, "digest": digest(bytes), "size": bytes.len()})
    };
    let diff_ids: Vec<&String> = layers.iter().map(|(_, diff_id)| diff_id).collect();
    let config = serde_json::json!({
        "architecture": "amd64", "os": "linux", "created": "2024-01-02T03:04:05Z",
        "config": {"Env": ["A=b"], "Cmd": ["sh"]},
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
    });
    let config = add(config.to_string().as_bytes(), "config.v1+json");
    let descriptors: Vec<_> = layers.iter().map(|(blob, _)| add(blob, layer_kind(blob))).collect();
    let manifest = serde_json::json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": config, "layers": descriptors,
    });
    let manifest = manifest.to_string().into_bytes();
    add(&manifest, "manifest.v1+json");
    let layers = layers.iter().map(|(blob, _)| digest(blob)).collect();
    Made { manifest_digest: digest(&manifest), manifest, layers, blobs }
}

fn layer_kind(blob: &[u8]) -> &'static str {
    match blob {
        [0x1f, 0x8b, ..] => "layer.v1.tar+gzip",
        [0x28, 0xb5, ..] => "layer.v1.tar+zstd",
        _ => "layer.v1.tar",
    }
}

/// An image of tars, compressed with gzip.
pub fn image(tars: &[Vec<u8>]) -> Made {
    let layers: Vec<_> = tars.iter().map(|tar| (gzip(tar), digest(tar))).collect();
    image_of_blobs(&layers)
}

/// Writes an image as an OCI layout with the tag `1`.
pub fn write_layout(made: &Made, folder: &Path) {
    fs::create_dir_all(folder.join("blobs/sha256")).unwrap();
    fs::write(folder.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
    for (digest, blob) in &made.blobs {
        fs::write(folder.join("blobs/sha256").join(&digest["sha256:".len()..]), blob).unwrap();
    }
    let index = serde_json::json!({"schemaVersion": 2, "manifests": [{
        "mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": made.manifest_digest,
        "size": made.manifest.len(), "annotations": {"org.opencontainers.image.ref.name": "1"},
    }]});
    fs::write(folder.join("index.json"), index.to_string()).unwrap();
}

/// Bytes that do not compress, always the same.
pub fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    (0..length).map(|_| next()).collect()
}

/// A tar with one file of noise.
pub fn noisy_tar(path: &str, length: usize) -> Vec<u8> {
    tar(&[Entry { data: &noise(length), ..file(path, "") }])
}
