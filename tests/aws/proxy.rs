//! A proxy between the binary and the emulator: it notes what passes, and a rule may hold a request
//! back, refuse it, or hang up.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::emulator::endpoint;

/// What a rule says of a request. Rules run on the request's own thread and may wait.
pub(crate) enum Verdict {
    /// Let it through.
    Pass,
    /// Answer with this status and code, as S3 does.
    Refuse(u16, &'static str),
    /// Close the connection; a reset if the request has a body.
    HangUp,
    /// Let it through, but only after this time.
    After(Duration),
    /// Let it through, and close the connection in the middle of the answer.
    HalfAnswer,
    /// Let it through, and change a byte in the middle of the answer's body.
    WrongByte,
}

/// The head of a request.
pub(crate) struct Head {
    /// `PUT /bucket/key?query`, or `POST / DynamoDB_20120810.UpdateItem`.
    pub(crate) line: String,
    headers: String,
}

impl Head {
    /// Whether a header is there.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.value(name).is_some()
    }

    fn value(&self, name: &str) -> Option<&str> {
        let pairs = self.headers.lines().filter_map(|line| line.split_once(':'));
        let mut found = pairs.filter(|(found, _)| found.eq_ignore_ascii_case(name));
        found.next().map(|(_, value)| value.trim())
    }

    /// Whether this is the put of a pointer.
    pub(crate) fn puts_pointer(&self) -> bool {
        self.line.starts_with("PUT ") && self.line.contains("/latest-pointer.txt")
    }
}

type Rule = dyn Fn(&Head) -> Verdict + Send + Sync;

/// A running proxy.
pub(crate) struct Proxy {
    pub(crate) endpoint: String,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    pub(crate) fn new(rule: impl Fn(&Head) -> Verdict + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (rule, notes): (Arc<Rule>, _) = (Arc::new(rule), Arc::clone(&seen));
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (rule, notes) = (Arc::clone(&rule), Arc::clone(&notes));
                // Broken connections are the business of those at their ends.
                std::thread::spawn(move || pass(client, &*rule, &notes));
            }
        });
        Self { endpoint, seen }
    }

    /// The requests so far, in order.
    pub(crate) fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
}

/// One request per connection.
fn pass(mut client: TcpStream, rule: &Rule, notes: &Mutex<Vec<String>>) -> std::io::Result<()> {
    let mut bytes = Vec::new();
    let end = loop {
        let mut chunk = [0; 4096];
        let read = client.read(&mut chunk)?;
        if read == 0 {
            return Ok(());
        }
        bytes.extend_from_slice(&chunk[..read]);
        if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break at;
        }
    };
    let text = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let (first, headers) = text.split_once("\r\n").unwrap_or((&text, ""));
    let mut head = Head {
        line: first.trim_end_matches(" HTTP/1.1").to_owned(),
        headers: headers.to_owned(),
    };
    if let Some(target) = head.value("x-amz-target") {
        head.line = format!("{} {target}", head.line);
    }
    notes.lock().unwrap().push(head.line.clone());
    let verdict = rule(&head);
    match verdict {
        Verdict::Pass | Verdict::HalfAnswer | Verdict::WrongByte => {}
        Verdict::After(time) => wait(time),
        Verdict::HangUp => return Ok(()),
        Verdict::Refuse(status, code) => {
            let body = format!("<Error><Code>{code}</Code><Message>by a test</Message></Error>");
            let answer = format!(
                "HTTP/1.1 {status} Answer\r\nContent-Type: application/xml\r\n\
                 Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
                body.len()
            );
            client.write_all(answer.as_bytes())?;
            // What is still coming is read, so that the answer is not lost to a reset.
            client.shutdown(Shutdown::Write)?;
            std::io::copy(&mut client, &mut std::io::sink())?;
            return Ok(());
        }
    }
    let kept = headers
        .lines()
        .filter(|line| !line.to_lowercase().starts_with("connection:"));
    let kept: Vec<&str> = kept.collect();
    let mut server = TcpStream::connect(endpoint().trim_start_matches("http://"))?;
    let request = format!(
        "{first}\r\n{}\r\nConnection: close\r\n\r\n",
        kept.join("\r\n")
    );
    server.write_all(request.as_bytes())?;
    server.write_all(&bytes[end + 4..])?;
    let (mut body, mut upstream) = (client.try_clone()?, server.try_clone()?);
    std::thread::spawn(move || std::io::copy(&mut body, &mut upstream));
    match verdict {
        Verdict::HalfAnswer | Verdict::WrongByte => {
            let mut answer = Vec::new();
            server.read_to_end(&mut answer)?;
            client.write_all(spoilt(&mut answer, &verdict))?;
        }
        _ => {
            std::io::copy(&mut server, &mut client)?;
        }
    }
    client.shutdown(Shutdown::Both)
}

fn spoilt<'a>(answer: &'a mut [u8], verdict: &Verdict) -> &'a [u8] {
    let head = answer.windows(4).position(|four| four == b"\r\n\r\n");
    let body = head.map_or(answer.len(), |at| at + 4);
    let middle = body + (answer.len() - body) / 2;
    if matches!(verdict, Verdict::HalfAnswer) {
        return &answer[..middle];
    }
    if let Some(byte) = answer.get_mut(middle) {
        *byte ^= 1;
    }
    answer
}

#[expect(
    clippy::disallowed_methods,
    reason = "a slow line is slow in real time"
)]
fn wait(time: Duration) {
    std::thread::sleep(time);
}
