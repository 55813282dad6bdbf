//! A proxy between the binary and the emulator: it notes what passes, and a rule may hold a request
//! back, refuse it, reset its connection, or spoil it or its answer.

mod wire;

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use socket2::SockRef;
use wire::Request;

/// What a rule decides for a request. Rules run on the request's own thread and may wait.
pub(crate) enum Verdict {
    /// Let it through.
    Pass,
    /// Answer with this status and code, as the service does.
    Refuse(u16, &'static str),
    /// Reset the connection.
    Reset,
    /// Let it through, but only after this time.
    After(Duration),
    /// Send half of the body, with the length of the whole body in the head, and close both connections.
    HalfRequest,
    /// Let it through, and close the connection in the middle of the answer.
    HalfAnswer,
    /// Let it through, pause for this time in the middle of the answer, then close.
    Stall(Duration),
    /// Let it through, and send the answer's body at 20 bytes a second.
    Trickle,
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
    fn new(first: &str, headers: &str) -> Self {
        let mut head = Self {
            line: first.trim_end_matches(" HTTP/1.1").to_owned(),
            headers: headers.to_owned(),
        };
        if let Some(target) = head.value("x-amz-target") {
            head.line = format!("{} {target}", head.line);
        }
        head
    }

    /// Whether the request has this header.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.value(name).is_some()
    }

    fn value(&self, name: &str) -> Option<&str> {
        let pairs = self.headers.lines().filter_map(|line| line.split_once(':'));
        let mut found = pairs.filter(|(found, _)| found.eq_ignore_ascii_case(name));
        found.next().map(|(_, value)| value.trim())
    }

    /// The body's length in bytes, as the head has it.
    pub(crate) fn body_bytes(&self) -> usize {
        let length = self.value("content-length");
        length.and_then(|text| text.parse().ok()).unwrap_or(0)
    }

    /// Whether the request is for S3, not for the queue or the table.
    pub(crate) fn is_of_s3(&self) -> bool {
        !self.line.contains("DynamoDB_") && !self.line.contains("AmazonSQS")
    }

    /// Whether this is the put of a pointer.
    pub(crate) fn puts_pointer(&self) -> bool {
        // At its start a daemon tests with a pointer of no collection whether conditions are enforced.
        !self.line.contains("/doctor/") && self.puts_any_pointer()
    }

    /// Whether this is the put of a pointer, or of the test pointer of a daemon that starts.
    pub(crate) fn puts_any_pointer(&self) -> bool {
        self.line.starts_with("PUT ") && self.line.contains("/latest-pointer.txt")
    }
}

type Rule = dyn Fn(&Head) -> Verdict + Send + Sync;

/// What passed, in order.
#[derive(Default)]
struct Notes {
    requests: Mutex<Vec<String>>,
    /// Of the services, with the requests' lines.
    answers: Mutex<Vec<(String, u16)>>,
}

impl Notes {
    fn asked(&self, head: &Head) {
        self.requests.lock().unwrap().push(head.line.clone());
    }

    /// `answer` may be its beginning.
    fn answered(&self, head: &Head, answer: &[u8]) {
        if let Some(status) = wire::status(answer) {
            let note = (head.line.clone(), status);
            self.answers.lock().unwrap().push(note);
        }
    }
}

/// A running proxy.
pub(crate) struct Proxy {
    pub(crate) endpoint: String,
    notes: Arc<Notes>,
}

impl Proxy {
    pub(crate) fn new(rule: impl Fn(&Head) -> Verdict + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let notes = Arc::new(Notes::default());
        let (rule, noted): (Arc<Rule>, _) = (Arc::new(rule), Arc::clone(&notes));
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (rule, notes) = (Arc::clone(&rule), Arc::clone(&noted));
                // The client and the services notice broken connections themselves.
                std::thread::spawn(move || pass(client, &*rule, &notes));
            }
        });
        Self { endpoint, notes }
    }

    /// The requests so far, in order.
    pub(crate) fn seen(&self) -> Vec<String> {
        self.notes.requests.lock().unwrap().clone()
    }

    /// What the services answered so far, in order: the request and the status.
    pub(crate) fn answers(&self) -> Vec<(String, u16)> {
        self.notes.answers.lock().unwrap().clone()
    }
}

/// One request per connection.
fn pass(mut client: TcpStream, rule: &Rule, notes: &Notes) -> std::io::Result<()> {
    let Some(request) = Request::read(&mut client)? else {
        return Ok(());
    };
    let head = &request.head;
    notes.asked(head);
    let verdict = rule(head);
    match verdict {
        // A close without lingering resets the connection.
        Verdict::Reset => return SockRef::from(&client).set_linger(Some(Duration::ZERO)),
        Verdict::Refuse(status, code) => return wire::refuse(client, head, status, code),
        Verdict::After(time) => wait(time),
        _ => {}
    }
    let mut server = request.send_head()?;
    if let Verdict::HalfRequest = verdict {
        // Both connections end with this function.
        return request.send_half(&mut client, &mut server);
    }
    request.send_body(&client, &server)?;
    match verdict {
        Verdict::HalfAnswer | Verdict::Stall(_) | Verdict::WrongByte => {
            let mut answer = Vec::new();
            server.read_to_end(&mut answer)?;
            notes.answered(head, &answer);
            client.write_all(wire::spoilt(&mut answer, &verdict))?;
        }
        Verdict::Trickle => {
            let mut answer = Vec::new();
            server.read_to_end(&mut answer)?;
            notes.answered(head, &answer);
            let (head, body) = wire::parts(&answer);
            client.write_all(head)?;
            for bytes in body.chunks(2) {
                client.write_all(bytes)?;
                wait(Duration::from_millis(100));
            }
        }
        _ => {
            let start = wire::start(&mut server)?;
            notes.answered(head, &start);
            client.write_all(&start)?;
            std::io::copy(&mut server, &mut client)?;
        }
    }
    if let Verdict::Stall(time) = verdict {
        wait(time);
    }
    client.shutdown(Shutdown::Both)
}

#[expect(
    clippy::disallowed_methods,
    reason = "a slow line is slow in real time"
)]
fn wait(time: Duration) {
    std::thread::sleep(time);
}
