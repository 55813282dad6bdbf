//! Requests and answers as bytes: read, sent on, and spoilt.

use std::io::{Read, Result, Write};
use std::net::{Shutdown, TcpStream};
use std::ops::Range;

use compactor_testkit::emulator::endpoint;

use super::{Head, Verdict};

const END_OF_HEAD: &[u8] = b"\r\n\r\n";
/// In `HTTP/1.1 200`.
const STATUS: Range<usize> = 9..12;

/// A request as far as it was read.
pub(super) struct Request {
    pub(super) head: Head,
    first: String,
    /// What came together with the head.
    body: Vec<u8>,
}

impl Request {
    /// Reads the head; `None` if the connection ends before it.
    pub(super) fn read(client: &mut TcpStream) -> Result<Option<Self>> {
        let mut bytes = Vec::new();
        let end = loop {
            let mut chunk = [0; 4096];
            let read = client.read(&mut chunk)?;
            if read == 0 {
                return Ok(None);
            }
            bytes.extend_from_slice(&chunk[..read]);
            if let Some(end) = end_of_head(&bytes) {
                break end;
            }
        };
        let text = String::from_utf8_lossy(&bytes[..end]);
        let (first, headers) = text.split_once("\r\n").unwrap_or((&text, ""));
        Ok(Some(Self {
            head: Head::new(first, headers),
            first: first.to_owned(),
            body: bytes[end + END_OF_HEAD.len()..].to_vec(),
        }))
    }

    /// Connects to the services and sends them the head.
    pub(super) fn send_head(&self) -> Result<TcpStream> {
        let lines = self.head.headers.lines();
        let kept = lines.filter(|line| !line.to_lowercase().starts_with("connection:"));
        let kept: Vec<&str> = kept.collect();
        let head = format!(
            "{}\r\n{}\r\nConnection: close\r\n\r\n",
            of_server(&self.first),
            kept.join("\r\n")
        );
        let mut server = TcpStream::connect(endpoint().trim_start_matches("http://"))?;
        server.write_all(head.as_bytes())?;
        Ok(server)
    }

    /// Sends the body as it comes, while the answer may come already.
    pub(super) fn send_body(&self, client: &TcpStream, server: &TcpStream) -> Result<()> {
        let (mut from, mut to) = (client.try_clone()?, server.try_clone()?);
        to.write_all(&self.body)?;
        std::thread::spawn(move || std::io::copy(&mut from, &mut to));
        Ok(())
    }

    /// Takes the whole body and sends half of it.
    pub(super) fn send_half(&self, client: &mut TcpStream, server: &mut TcpStream) -> Result<()> {
        let length = self.head.body_bytes();
        let mut body = self.body.clone();
        let rest = length.saturating_sub(body.len());
        client.take(rest as u64).read_to_end(&mut body)?;
        body.truncate(length / 2);
        server.write_all(&body)
    }
}

/// The request line in the form for a server. A line for a proxy names the server too.
fn of_server(line: &str) -> String {
    let Some((method, rest)) = line.split_once(" http://") else {
        return line.to_owned();
    };
    let path = rest.find(['/', ' ']).map_or("", |end| &rest[end..]);
    format!("{method} {path}")
}

/// Answers in place of the services.
pub(super) fn refuse(mut client: TcpStream, head: &Head, status: u16, code: &str) -> Result<()> {
    let (kind, body) = match head.is_of_s3() {
        true => (
            "application/xml",
            format!("<Error><Code>{code}</Code><Message>by a test</Message></Error>"),
        ),
        false => (
            "application/x-amz-json-1.0",
            format!("{{\"__type\":\"by.a.test#{code}\",\"message\":\"by a test\"}}"),
        ),
    };
    let answer = format!(
        "HTTP/1.1 {status} Answer\r\nContent-Type: {kind}\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    client.write_all(answer.as_bytes())?;
    // Reads the rest of the request, since a reset would lose the answer.
    client.shutdown(Shutdown::Write)?;
    std::io::copy(&mut client, &mut std::io::sink())?;
    Ok(())
}

/// The beginning of an answer, with its status in it.
pub(super) fn start(server: &mut TcpStream) -> Result<Vec<u8>> {
    let mut bytes = vec![0; 1 << 16];
    let mut length = 0;
    while length < STATUS.end {
        match server.read(&mut bytes[length..])? {
            0 => break,
            read => length += read,
        }
    }
    bytes.truncate(length);
    Ok(bytes)
}

/// The status of an answer; `None` if `answer` has no status line.
pub(super) fn status(answer: &[u8]) -> Option<u16> {
    let digits = answer.get(STATUS)?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// Head and body of a whole answer.
pub(super) fn parts(answer: &[u8]) -> (&[u8], &[u8]) {
    let head = end_of_head(answer).map_or(answer.len(), |end| end + END_OF_HEAD.len());
    answer.split_at(head)
}

/// What is left of a whole answer.
pub(super) fn spoilt<'a>(answer: &'a mut [u8], verdict: &Verdict) -> &'a [u8] {
    let (head, body) = parts(answer);
    let (head, body) = (head.len(), body.len());
    let middle = head + body / 2;
    if !matches!(verdict, Verdict::WrongByte) {
        // An answer without a body is cut as well.
        let end = if body == 0 { head / 2 } else { middle };
        return &answer[..end];
    }
    if let Some(byte) = answer.get_mut(middle) {
        *byte ^= 1;
    }
    answer
}

fn end_of_head(bytes: &[u8]) -> Option<usize> {
    let mut windows = bytes.windows(END_OF_HEAD.len());
    windows.position(|four| four == END_OF_HEAD)
}
