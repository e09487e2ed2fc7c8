//! Whom to believe: the system's certificates, those of the settings, and Mozilla's list where there are none.

use crate::model::{Failure, Result, Trying};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

/// TLS settings of a connection. `authorities` are PEM files to trust besides the system's.
///
/// # Errors
/// A PEM file cannot be read or has no certificate in it.
pub fn client_config(authorities: &[PathBuf], insecure: bool) -> Result<ClientConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let algorithms = provider.signature_verification_algorithms;
    let judge = match insecure {
        true => Judge::Anything,
        false => Judge::Known {
            provider: Arc::clone(&provider),
            extra: read_authorities(authorities)?,
            verifier: OnceLock::new(),
        },
    };
    let verifier = Arc::new(Verifier { judge, algorithms });
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.trying(|| "cannot set up TLS")?;
    Ok(builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth())
}

fn read_authorities(files: &[PathBuf]) -> Result<Vec<CertificateDer<'static>>> {
    let mut all = Vec::new();
    for file in files {
        let text = std::fs::read(file).trying(|| format!("cannot read the certificates in {}", file.display()))?;
        let found = CertificateDer::pem_slice_iter(&text).collect::<std::result::Result<Vec<_>, _>>();
        let found = found.trying(|| format!("cannot understand the certificates in {}", file.display()))?;
        if found.is_empty() {
            return Err(Failure::new(format!("{} has no certificate in it", file.display())));
        }
        all.extend(found);
    }
    Ok(all)
}

/// Who decides about a server's certificate. Its signatures are checked in any case.
#[derive(Debug)]
struct Verifier {
    judge: Judge,
    algorithms: WebPkiSupportedAlgorithms,
}

#[derive(Debug)]
enum Judge {
    /// Any certificate will do: what `insecure` in the settings asks for.
    Anything,
    /// The system's certificates and `extra`, read when the first server shows its own: plain HTTP never pays for it.
    Known {
        provider: Arc<CryptoProvider>,
        extra: Vec<CertificateDer<'static>>,
        verifier: OnceLock<std::result::Result<Arc<dyn ServerCertVerifier>, Error>>,
    },
}

fn load(
    provider: &Arc<CryptoProvider>,
    extra: &[CertificateDer<'static>],
) -> std::result::Result<Arc<dyn ServerCertVerifier>, Error> {
    // Without extra certificates it fails exactly when the system has none (SSL_CERT_FILE counts as the system).
    let provider = || Arc::clone(provider);
    if rustls_platform_verifier::Verifier::new(provider()).is_ok() {
        let verifier = rustls_platform_verifier::Verifier::new_with_extra_roots(extra.to_vec(), provider())?;
        return Ok(Arc::new(verifier));
    }
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    roots.add_parsable_certificates(extra.iter().cloned());
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider()).build();
    Ok(verifier.map_err(|error| Error::General(error.to_string()))?)
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> std::result::Result<ServerCertVerified, Error> {
        let Judge::Known { provider, extra, verifier } = &self.judge else {
            return Ok(ServerCertVerified::assertion());
        };
        let verifier = verifier.get_or_init(|| load(provider, extra)).as_ref().map_err(Clone::clone)?;
        verifier.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
