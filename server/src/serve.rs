//! Serves one host: greeting, request, result. This file must not know how a request is carried out.

use std::io::{self, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::sync::Arc;

use prost::Message;

use crate::callbacks::Callbacks;
use crate::connection::{Connection, Gone, Streams};
use crate::execute::execute;
use crate::find::find_server;
use crate::protocol::api::{
    GenericError, HelloKind, HelloReply, HelloRequest, HelloResult, ProveRequest, RequestKind, ServerReply,
    ServerReplyKind, ServerRequest,
};
use crate::protocol::base::SemanticVersion;
use crate::prove::prove_in_dev_mode;
use crate::{RISC0_VERSION, Settings, frames, proxy};

/// The largest greeting.
const HELLO_BYTES: u32 = 64 << 10;

/// Why a host was not served to the end. A program that fails is not such an error: the host is told.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Nobody waits at the port.
    #[error("cannot connect to the host at port {port}")]
    Connect {
        /// The port.
        port: u16,
        /// The system's error.
        source: io::Error,
    },
    /// The connection ended before there was a request.
    #[error("the host closed the connection before it sent a {0}")]
    NoRequest(&'static str),
    /// The connection failed.
    #[error("the connection to the host failed: {0}")]
    Io(#[from] io::Error),
    /// The host sent something else than a message of the protocol.
    #[error("the host sent a malformed {what}: {why}")]
    Malformed {
        /// Which message.
        what: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// The host has another version.
    #[error("the host has risc0-zkvm {0}, and this server is for 3.0")]
    Version(String),
    /// The host has gone, or has broken the protocol, while it was served.
    #[error("{0}")]
    Gone(String),
}

impl From<Gone> for ServeError {
    fn from(gone: Gone) -> ServeError {
        ServeError::Gone(gone.to_string())
    }
}

/// Connects to a host that waits at a port of this machine and serves its request. Returns the exit code for the
/// process; the host takes any other than 0 for a failure.
///
/// # Errors
/// Fails if the host cannot be served to the end.
pub fn serve_port(port: u16, settings: &Settings) -> Result<u8, ServeError> {
    let connect = |source| ServeError::Connect { port, source };
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).map_err(connect)?;
    stream.set_nodelay(true).map_err(connect)?;
    let reader = PromptReader(stream.try_clone().map_err(connect)?);
    serve_streams(reader, stream, settings)
}

/// Serves a host through streams of the caller's.
///
/// # Errors
/// As [`serve_port`].
pub fn serve_streams(
    reader: impl Read + Send + 'static,
    writer: impl Write + Send + 'static,
    settings: &Settings,
) -> Result<u8, ServeError> {
    let mut streams = Streams { reader: BufReader::new(Box::new(reader)), writer: Box::new(writer) };
    let (hello_bytes, hello) = receive::<HelloRequest>(&mut streams, HELLO_BYTES, "HelloRequest")?;
    let version = hello.version.ok_or(malformed("HelloRequest", "it has no version"))?;
    let reply = greeting(&version);
    let is_welcome = matches!(reply.kind, Some(HelloKind::Ok(_)));
    frames::send(&mut streams.writer, &reply)?;
    streams.writer.flush()?;
    if !is_welcome {
        return Err(ServeError::Version(version.to_string()));
    }
    let (request_bytes, request) = receive::<ServerRequest>(&mut streams, u32::MAX, "ServerRequest")?;
    match request.kind.ok_or(malformed("ServerRequest", "it is none of the known requests"))? {
        RequestKind::Execute(request) => serve(streams, settings, |callbacks| execute(callbacks, request, settings)),
        RequestKind::Prove(request) if is_dev_mode(&request) => {
            serve(streams, settings, |callbacks| prove_in_dev_mode(callbacks, request, settings))
        }
        _ => pass_on(&version, &hello_bytes, &request_bytes, streams, settings),
    }
}

fn is_dev_mode(request: &ProveRequest) -> bool {
    request.opts.as_ref().is_some_and(|opts| opts.is_dev_mode)
}

/// Answers a greeting. Clients of 3.0 take any server of 3.0, unless they are a pre-release.
fn greeting(version: &SemanticVersion) -> HelloReply {
    let kind = match version {
        SemanticVersion { major: 3, minor: 0, pre, .. } if pre.is_empty() => {
            let version = SemanticVersion { major: 3, minor: 0, patch: 6, ..SemanticVersion::default() };
            HelloKind::Ok(HelloResult { version: Some(version) })
        }
        other => HelloKind::Error(GenericError {
            reason: format!(
                "incompatible client version: {other}, server version: {RISC0_VERSION} (Tachy in r0vm's place)"
            ),
        }),
    };
    HelloReply { kind: Some(kind) }
}

fn malformed(what: &'static str, why: &str) -> ServeError {
    ServeError::Malformed { what, why: why.to_owned() }
}

/// Receives a message, and returns its bytes too.
fn receive<M: Message + Default>(
    streams: &mut Streams,
    limit_bytes: u32,
    what: &'static str,
) -> Result<(Vec<u8>, M), ServeError> {
    let mut body = Vec::new();
    if !frames::read(&mut streams.reader, limit_bytes, &mut body)? {
        return Err(ServeError::NoRequest(what));
    }
    let message = M::decode(body.as_slice()).map_err(|error| malformed(what, &error.to_string()))?;
    Ok((body, message))
}

/// Serves a request here. An error is the text for the host.
fn serve(
    streams: Streams,
    settings: &Settings,
    request: impl FnOnce(&Callbacks) -> Result<ServerReply, String>,
) -> Result<u8, ServeError> {
    let connection = Arc::new(Connection::new(streams, settings.exit_after)?);
    let reply = request(&Callbacks(Arc::clone(&connection))).unwrap_or_else(error_reply);
    // A run that ended because its host is gone has nobody to tell.
    match connection.is_gone() {
        true => Err(connection.why_gone().into()),
        false => Ok(connection.finish(&reply).map(|()| 0)?),
    }
}

/// Makes the reply for an error. It has the same bytes as the error reply of every other request.
fn error_reply(reason: String) -> ServerReply {
    ServerReply { kind: Some(ServerReplyKind::Error(GenericError { reason })) }
}

/// Passes a request on to RISC Zero's own server, or tells the host why that is not possible.
fn pass_on(
    version: &SemanticVersion,
    hello: &[u8],
    request: &[u8],
    streams: Streams,
    settings: &Settings,
) -> Result<u8, ServeError> {
    let refused = |why: &dyn std::fmt::Display| format!("Tachy executes programs and does not prove them: {why}");
    let found = find_server(&version.to_string(), &|name| settings.variable_os(name));
    let (mut writer, reason) = match found {
        Err(none) => (streams.writer, refused(&none)),
        Ok(path) => match proxy::pass_on(&path, hello, request, streams) {
            Ok(code) => return Ok(code),
            Err((writer, error)) => (writer, refused(&error)),
        },
    };
    frames::send(&mut writer, &error_reply(reason))?;
    writer.flush()?;
    Ok(0)
}

/// A connection whose bytes are acknowledged at once. Its host sends many small answers, and each waits for the
/// acknowledgement of the one before.
struct PromptReader(TcpStream);

impl Read for PromptReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        #[cfg(target_os = "linux")]
        {
            // If the system does not know it, answers only come later.
            let _ = rustix::net::sockopt::set_tcp_quickack(&self.0, true);
        }
        self.0.read(buffer)
    }
}
