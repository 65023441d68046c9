//! The publish hook, with a real HTTP server on loopback behind it.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hmac::{Hmac, KeyInit as _, Mac as _};
use ingest::Role;
use ingest::config::{Config, Ladder, OnFailure};
use serde_json::Value;
use sha2::Sha256;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

use crate::encoder::{Encoder, GREY, WHITE};
use crate::stage::{KEY, Stage};

const SECRET: &str = "sixteen-or-more-characters";

/// What the server says from now on.
#[derive(Debug, Clone, Copy)]
enum Says {
    /// A status line's rest, with a body.
    Status(&'static str, &'static str),
    /// That it is elsewhere: at itself, where a second request would be seen.
    Elsewhere,
    Nothing,
}

struct Server {
    addr: SocketAddr,
    says: Arc<Mutex<Says>>,
    /// Head and body of each request.
    heard: Arc<Mutex<Vec<(String, String)>>>,
}

impl Server {
    async fn listen(says: Says) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Self {
            addr: listener.local_addr().unwrap(),
            says: Arc::new(Mutex::new(says)),
            heard: Arc::default(),
        };
        let (says, heard) = (server.says.clone(), server.heard.clone());
        #[expect(clippy::disallowed_methods, reason = "ends with the test's runtime")]
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(answer(socket, says.clone(), heard.clone()));
            }
        });
        server
    }

    fn say(&self, says: Says) {
        *self.says.lock().unwrap() = says;
    }

    fn configure(&self, config: &mut Config) {
        config.hook.url = Some(format!("http://{}/hook?room=1", self.addr));
        config.hook.secret = Some(SECRET.to_owned());
    }

    fn events(&self) -> Vec<Value> {
        let heard = self.heard.lock().unwrap();
        heard
            .iter()
            .map(|(_, body)| serde_json::from_str(body).unwrap())
            .collect()
    }

    async fn wait_for(&self, events: usize) {
        let until = Instant::now() + Duration::from_secs(10);
        while self.events().len() < events {
            assert!(Instant::now() < until, "heard only {:?}", self.events());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

async fn answer(mut socket: TcpStream, says: Arc<Mutex<Says>>, heard: Arc<Mutex<Vec<(String, String)>>>) {
    let mut bytes = Vec::new();
    let (head, body) = loop {
        if socket.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
            return;
        }
        let text = String::from_utf8(bytes.clone()).unwrap();
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        if body.len() == header(head, "content-length").parse::<usize>().unwrap() {
            break (head.to_owned(), body.to_owned());
        }
    };
    heard.lock().unwrap().push((head, body));
    let says = *says.lock().unwrap();
    let answer = match says {
        Says::Status(status, body) => format!(
            "HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        ),
        Says::Elsewhere => {
            "HTTP/1.1 307 Elsewhere\r\nlocation: /hook\r\ncontent-length: 0\r\n\r\n".to_owned()
        }
        Says::Nothing => return tokio::time::sleep(Duration::from_secs(30)).await,
    };
    // The other side may have had enough.
    drop(socket.write_all(answer.as_bytes()).await);
}

fn header<'a>(head: &'a str, name: &str) -> &'a str {
    let value = head.lines().find_map(|line| {
        let (key, value) = line.split_once(": ")?;
        key.eq_ignore_ascii_case(name).then_some(value)
    });
    value.unwrap_or_else(|| panic!("no {name} in {head}"))
}

async fn wait(stage: &Stage, role: Role) {
    let until = Instant::now() + Duration::from_secs(10);
    while silent_ms(stage, role).await.is_none() {
        assert!(Instant::now() < until, "{role:?} is not let in");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn silent_ms(stage: &Stage, role: Role) -> Option<u64> {
    let streams = stage.ingest.control().streams().await;
    let who = streams[0].contributions.iter().find(|who| who.role == role);
    who.map(|who| who.silent_ms)
}

async fn refused(stage: &Stage, words: &str) {
    let encoder = Encoder::publish(stage.ingest.ports().rtmp, KEY, GREY, None, &["-t", "8"]);
    let (content, said) = encoder.ended(Duration::from_secs(10)).await;
    assert!(
        !content && said.contains(words),
        "not {words}; ffmpeg said: {said}"
    );
    assert_eq!(silent_ms(stage, Role::Primary).await, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_comes_is_asked_about_and_who_leaves_is_told_signed() {
    let server = Server::listen(Says::Status("204 Yes", "")).await;
    let stage = Stage::set_with(Ladder::default(), |config| server.configure(config)).await;
    let encoder = Encoder::publish(stage.ingest.ports().rtmp, KEY, WHITE, None, &[]);
    wait(&stage, Role::Primary).await;
    let asked = server.events();
    drop(encoder);
    server.wait_for(2).await;
    let told = server.events();
    assert_eq!((asked.len(), told.len()), (1, 2));
    for (event, name) in told.iter().zip(["publish", "unpublish"]) {
        assert_eq!(event["event"], name);
        for (key, value) in [
            ("stream", "main"),
            ("role", "primary"),
            ("protocol", "rtmp"),
            ("key_id", "first"),
        ] {
            assert_eq!(event[key], value, "{event}");
        }
        assert!(
            event["peer"].as_str().unwrap().starts_with("127.0.0.1:"),
            "{event}"
        );
    }
    assert_eq!(told[0]["peer"], told[1]["peer"]);
    for (head, body) in &*server.heard.lock().unwrap() {
        assert!(head.starts_with("POST /hook?room=1 HTTP/1.1\r\n"), "{head}");
        assert_eq!(header(head, "host"), server.addr.to_string());
        assert_eq!(header(head, "content-type"), "application/json");
        let time = serde_json::from_str::<Value>(body).unwrap()["time"]
            .as_u64()
            .unwrap();
        let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
        mac.update(format!("{time}.{body}").as_bytes());
        let mac = mac.finalize().into_bytes();
        let hex: String = mac.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(header(head, "ringside-signature"), format!("t={time},v1={hex}"));
        assert!(!body.contains(KEY) && !head.contains(KEY));
    }
    // Who leaves because the server does is told of as well.
    let _encoder = Encoder::publish(stage.ingest.ports().rtmp, KEY, WHITE, None, &[]);
    wait(&stage, Role::Primary).await;
    stage.strike().await;
    let told = server.events();
    assert!(told.len() == 4 && told[3]["event"] == "unpublish", "{told:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_no_is_shown_to_the_encoder_and_silence_counts_as_configured() {
    let server = Server::listen(Says::Status("403 No", "this event is over\nsecond line")).await;
    let stage = Stage::set_with(Ladder::default(), |config| {
        server.configure(config);
        config.hook.timeout_ms = 300;
        config.hook.on_failure = OnFailure::Deny;
    })
    .await;
    refused(&stage, "this event is over").await;
    server.say(Says::Status("409 No", ""));
    refused(&stage, "refused by the server's publish hook (409)").await;
    for unclear in [Says::Nothing, Says::Elsewhere, Says::Status("500 Oh", "sorry")] {
        server.say(unclear);
        refused(&stage, "publish hook does not answer").await;
    }
    let events = server.events();
    assert_eq!(
        events.len(),
        5,
        "one request each, no redirect followed: {events:?}"
    );
    assert!(
        events.iter().all(|event| event["event"] == "publish"),
        "{events:?}"
    );
    stage.strike().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hook_that_hangs_lets_in_after_its_time_and_holds_nobody_up() {
    let server = Server::listen(Says::Status("200 Yes", "yes")).await;
    let stage = Stage::set_with(Ladder::default(), |config| {
        server.configure(config);
        config.hook.timeout_ms = 3_000;
    })
    .await;
    let srt = stage.ingest.ports().srt;
    let _live = Encoder::srt(srt, KEY, WHITE, None, &[]);
    wait(&stage, Role::Primary).await;
    server.say(Says::Nothing);
    let id = format!("#!::m=publish,s={KEY},role=backup");
    let _asking = Encoder::srt(srt, &id, GREY, None, &[]);
    server.wait_for(2).await;
    let asked = Instant::now();
    // What is live does not notice.
    let mut longest = 0;
    while silent_ms(&stage, Role::Backup).await.is_none() {
        assert!(asked.elapsed() < Duration::from_secs(8), "never let in");
        longest = longest.max(silent_ms(&stage, Role::Primary).await.unwrap());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(
        asked.elapsed() > Duration::from_millis(2_500),
        "after {:?}",
        asked.elapsed()
    );
    assert!(longest < 1_500, "the live encoder was held up for {longest} ms");
    let (packager, _) = stage.strike().await;
    packager.look(|seen| seen.assert_unbroken());
}
