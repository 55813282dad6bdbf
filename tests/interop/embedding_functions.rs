//! A first delta whose collection names an embedding function: chromadb gives each reader's query, and a
//! secret of the reader's environment, to the service that the delta chose.

use std::net::TcpListener;

use serde_json::{Value, json};

use crate::session::Session;

/// An address at which no service listens until the oracle starts one.
fn free_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

struct Leak<'v> {
    session: Session,
    version: &'v str,
    url: String,
}

impl Leak<'_> {
    fn make(&mut self, name: &str) -> String {
        let dir = self.session.path(name);
        let arguments = ["make-leak", "--out", &dir, "--url", &self.url];
        self.session.oracle(self.version, &arguments);
        dir
    }

    /// Publishes a delta with these settings. Gives the directory of the snapshot.
    fn publish(&mut self, delta: &str, name: &str, settings: &str) -> String {
        let (data, config) = (self.session.path(name), self.session.path("c.toml"));
        std::fs::write(&config, settings).unwrap();
        let words = format!("words={delta}");
        let place = ["--data", &data, "--config", &config, "--json"];
        let said = self
            .session
            .compactor(&[["submit", &words].as_slice(), &place].concat());
        // `submit` says which embedding functions readers will miss.
        assert_eq!(
            said.get("left_out").is_none(),
            settings.contains("huggingface"),
            "{said}"
        );
        self.session
            .compactor(&[["run", "--drain"].as_slice(), &place].concat());
        let pointer = format!("{data}/objects/words/snapshot/latest-pointer.txt");
        let version = std::fs::read_to_string(pointer).unwrap();
        format!("{data}/objects/words/snapshot/timestamped/{version}")
    }

    fn functions(&mut self, dir: &str) -> Value {
        let info = self.session.compactor(&["store", "info", dir, "--json"]);
        info["collections"][0]["embedding_functions"].clone()
    }

    /// The secrets that a reader of the directory sends to the service.
    fn told(&mut self, dir: &str) -> Value {
        let arguments = ["use-leak", "--dir", dir, "--url", &self.url];
        let mut found = self.session.oracle(self.version, &arguments);
        assert_eq!(found["found"], json!([["a"]]), "{found}");
        found["told"].take()
    }
}

fn check(version: &str, seed: u64) {
    let mut leak = Leak {
        session: Session::new(seed),
        version,
        url: free_address(),
    };
    let delta = leak.make("delta");
    let function = json!([{
        "name": "huggingface_server",
        "config": { "url": leak.url, "api_key_env_var": "AWS_SECRET_ACCESS_KEY" },
    }]);
    assert_eq!(leak.functions(&delta), function, "{version}");
    let snapshot = leak.publish(&delta, "data", "");
    assert_eq!(leak.functions(&snapshot), json!([]), "{version}");
    assert_eq!(leak.told(&snapshot), json!([]), "{version}");
    // An operator who trusts the service allows it, and then readers call it.
    let allowed = format!(
        "[collections]\nembedding_functions = [{{ name = \"huggingface_server\", config = \
         {{ url = \"{}\", api_key_env_var = \"AWS_SECRET_ACCESS_KEY\" }} }}]\n",
        leak.url
    );
    let snapshot = leak.publish(&delta, "trusting", &allowed);
    assert_eq!(leak.functions(&snapshot), function, "{version}");
    let secret = json!(["Bearer what a reader must not tell"]);
    assert_eq!(leak.told(&snapshot), secret, "{version}");
}

#[test]
fn v1_0_21_readers_send_no_secret_to_an_unlisted_service() {
    check("1.0.21", 98_100);
}

#[test]
fn v1_3_3_readers_send_no_secret_to_an_unlisted_service() {
    check("1.3.3", 98_200);
}

#[test]
fn v1_5_9_readers_send_no_secret_to_an_unlisted_service() {
    check("1.5.9", 98_300);
}
