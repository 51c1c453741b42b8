//! The identity from a file of its own.

use std::path::Path;

use murmurate::identity::Keypair;

use crate::secret_file;

/// The key in `path`: 32 random bytes, or a libp2p private key in its protobuf encoding.
///
/// # Errors
/// The file cannot be read, is open to others, or holds something else.
pub(crate) fn read(path: &Path) -> Result<Keypair, String> {
    let mut bytes = secret_file::read(path)?;
    if bytes.len() == 32 {
        return Keypair::ed25519_from_bytes(&mut bytes).map_err(|error| error.to_string());
    }
    Keypair::from_protobuf_encoding(&bytes).map_err(|_| {
        let size = bytes.len();
        format!("{size} bytes are not a key: allowed are 32 random bytes, or a libp2p private key")
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn read_from(bytes: &[u8], mode: u32) -> Result<Keypair, String> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("key");
        std::fs::write(&path, bytes).expect("written");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).expect("set");
        read(&path)
    }

    #[test]
    fn a_key_is_read_in_both_ways_and_only_if_it_is_private() {
        let seed = read_from(&[7; 32], 0o600).expect("a key");
        let encoded = seed.to_protobuf_encoding().expect("encoded");
        let same = read_from(&encoded, 0o400).expect("a key");
        assert_eq!(seed.public(), same.public());
        let error = read_from(&[7; 32], 0o644).map(|_| ()).expect_err("readable for others");
        assert_eq!(error, "mode 644 is too open for a secret: allowed is 640 at most");
        let error = read_from(&[7; 31], 0o600).map(|_| ()).expect_err("too short");
        assert!(error.starts_with("31 bytes are not a key"), "{error}");
    }
}
