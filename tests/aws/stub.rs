//! A server with prepared answers, for what no emulator does.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// What becomes of one request.
pub(crate) enum Answer {
    /// An answer with this status, headers and body.
    Is(u16, &'static str, String),
    /// Half of this body, with the length of the whole body in the header.
    Half(String),
    /// No answer: the connection is closed.
    HangUp,
}

/// A running server.
pub(crate) struct Stub {
    pub(crate) endpoint: String,
    /// The request lines, in order.
    requests: Arc<Mutex<Vec<String>>>,
}

impl Stub {
    pub(crate) async fn new(answers: impl IntoIterator<Item = Answer>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&requests);
        let mut answers: VecDeque<Answer> = answers.into_iter().collect();
        tokio::spawn(async move {
            // One at a time: answers belong to requests in their order.
            while let Ok((stream, _)) = listener.accept().await {
                // A request beyond the prepared answers gets none.
                let answer = answers.pop_front().unwrap_or(Answer::HangUp);
                if let Some(line) = serve(stream, answer).await {
                    seen.lock().unwrap().push(line);
                }
            }
        });
        Self { endpoint, requests }
    }

    /// How many requests came so far.
    pub(crate) fn requests(&self) -> usize {
        self.requests.lock().unwrap().len()
    }
}

/// Reads a request and answers it; gives its first line.
async fn serve(stream: TcpStream, answer: Answer) -> Option<String> {
    let mut stream = BufReader::new(stream);
    let mut first = String::new();
    stream.read_line(&mut first).await.ok()?;
    let mut length = 0;
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await.ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else {
            break;
        };
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    let (status, headers, length, body) = match answer {
        Answer::HangUp => return Some(first.trim_end().to_owned()),
        Answer::Is(status, headers, body) => (status, headers, body.len(), body),
        Answer::Half(body) => (200, "", body.len(), body[..body.len() / 2].to_owned()),
    };
    let head = format!(
        "HTTP/1.1 {status} Answer\r\nContent-Length: {length}\r\nConnection: close\r\n{headers}\r\n"
    );
    stream.write_all(head.as_bytes()).await.ok()?;
    stream.write_all(body.as_bytes()).await.ok()?;
    stream.flush().await.ok()?;
    Some(first.trim_end().to_owned())
}
