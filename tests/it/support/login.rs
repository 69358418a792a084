//! The endpoint where a service account logs in: it checks what is shown with openssl, gives tokens, and
//! knows later which of them are good. It ends with the value.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime};

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
use serde_json::{Value, json};

use super::files::Folder;
use super::master::Accept;
use super::openssl::openssl;

/// A service account and what only its owner and the endpoint know.
pub struct Account {
    pub uid: &'static str,
    /// In PEM.
    pub private_key: String,
    public_key: Vec<u8>,
}

/// How a private key is written.
#[derive(Clone, Copy)]
pub enum Form {
    Pkcs1,
    Pkcs8,
}

impl Account {
    pub fn new(uid: &'static str, form: Form) -> Self {
        let folder = Folder::new();
        let mut arguments = vec!["genrsa"];
        if matches!(form, Form::Pkcs1) {
            arguments.push("-traditional");
        }
        arguments.push("2048");
        let private_key = openssl(&arguments);
        let path = folder.write("key", &private_key).display().to_string();
        Self {
            uid,
            private_key: String::from_utf8(private_key).expect("PEM is text"),
            public_key: openssl(&["rsa", "-in", &path, "-pubout"]),
        }
    }

    /// The content of IAMConfigFile.
    pub fn file(&self, login_endpoint: &str) -> String {
        let (uid, key) = (self.uid, &self.private_key);
        json!({"scheme": "RS256", "uid": uid, "private_key": key, "login_endpoint": login_endpoint})
            .to_string()
    }
}

/// What the next log-in that is right meets.
#[derive(Clone, Copy)]
pub enum Gives {
    /// A JSON Web Token with this lifetime.
    Token(Duration),
    /// A token that says nothing, after a while.
    Opaque(Duration),
    /// A status without a token.
    Status(u16),
    /// 200 with something else.
    Nonsense,
}

struct Shared {
    account: Mutex<Account>,
    gives: Mutex<Gives>,
    /// Tokens that were given and are good, each with its end.
    tokens: Mutex<Vec<(String, Instant)>>,
    /// All that passed and must not be seen elsewhere: tokens of both directions.
    passed: Mutex<Vec<String>>,
    /// What was wrong with log-ins, if anything.
    faults: Mutex<Vec<String>>,
    log_ins: AtomicUsize,
    stopping: AtomicBool,
}

pub struct Login {
    address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Login {
    pub fn start(account: Account, gives: Gives) -> Self {
        Self::start_at(SocketAddr::from(([127, 0, 0, 1], 0)), account, gives)
    }

    pub fn start_at(address: SocketAddr, account: Account, gives: Gives) -> Self {
        let listener = TcpListener::bind(address).expect("a port on loopback");
        let address = listener.local_addr().expect("its address");
        let shared = Arc::new(Shared {
            account: Mutex::new(account),
            gives: Mutex::new(gives),
            tokens: Mutex::default(),
            passed: Mutex::default(),
            faults: Mutex::default(),
            log_ins: AtomicUsize::new(0),
            stopping: AtomicBool::new(false),
        });
        let thread = thread::spawn({
            let shared = Arc::clone(&shared);
            move || accept(&listener, &shared)
        });
        Self {
            address,
            shared,
            thread: Some(thread),
        }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn endpoint(&self) -> String {
        endpoint(self.address)
    }

    /// The content of IAMConfigFile for the account that is known here.
    pub fn account_file(&self) -> String {
        self.account_file_at(&self.endpoint())
    }

    /// The same, to log in by way of another place.
    pub fn account_file_at(&self, login_endpoint: &str) -> String {
        lock(&self.shared.account).file(login_endpoint)
    }

    pub fn set(&self, gives: Gives) {
        *lock(&self.shared.gives) = gives;
    }

    /// From now on another account is known, and not the one before.
    pub fn know(&self, account: Account) {
        *lock(&self.shared.account) = account;
    }

    /// The masters refuse what was given so far.
    pub fn revoke(&self) {
        lock(&self.shared.tokens).clear();
    }

    /// Requests so far, right or wrong.
    pub fn log_ins(&self) -> usize {
        self.shared.log_ins.load(Ordering::SeqCst)
    }

    pub fn passed(&self) -> Vec<String> {
        lock(&self.shared.passed).clone()
    }

    pub fn faults(&self) -> Vec<String> {
        lock(&self.shared.faults).clone()
    }

    /// For a master that takes the tokens of this endpoint.
    pub fn judge(&self) -> Accept {
        let shared = Arc::clone(&self.shared);
        Arc::new(move |authorization| {
            let token = authorization.strip_prefix("token=");
            let now = Instant::now();
            lock(&shared.tokens)
                .iter()
                .any(|(given, ends)| Some(&**given) == token && now < *ends + GRACE)
        })
    }
}

impl Drop for Login {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        // Wakes `accept`; where it cannot connect the listener is gone already.
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Where one logs in at an address.
pub fn endpoint(address: SocketAddr) -> String {
    format!("http://{address}{PATH}")
}

/// What a request that was sent in time may take to arrive.
const GRACE: Duration = Duration::from_millis(200);

const PATH: &str = "/acs/api/v1/auth/login";

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("no test thread panicked")
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for stream in listener.incoming() {
        if shared.stopping.load(Ordering::SeqCst) {
            return;
        }
        let Ok(stream) = stream else { continue };
        let shared = Arc::clone(shared);
        thread::spawn(move || {
            let _ = serve(stream, &shared);
        });
    }
}

fn serve(mut stream: TcpStream, shared: &Shared) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? <= 2 {
            break;
        }
        let line = line.trim().to_ascii_lowercase();
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or(0);
        }
        head += &format!("{line}\n");
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    shared.log_ins.fetch_add(1, Ordering::SeqCst);
    let (status, answer) = match check(&head, &body, shared) {
        Ok(()) => give(shared),
        Err(fault) => {
            lock(&shared.faults).push(fault);
            (401, "{}".to_owned())
        }
    };
    let more = match status {
        300..=399 => format!("Location: {PATH}/elsewhere\r\n"),
        _ => String::new(),
    };
    write!(
        stream,
        "HTTP/1.1 {status} Status\r\nContent-Type: application/json\r\n{more}Content-Length: {}\r\nConnection: close\r\n\r\n{answer}",
        answer.len()
    )
}

fn give(shared: &Shared) -> (u16, String) {
    let gives = *lock(&shared.gives);
    let number = fastrand::u64(..);
    let part = |value: Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    let (token, lifetime) = match gives {
        Gives::Status(status) => return (status, "{}".to_owned()),
        Gives::Nonsense => return (200, r#"{"tokens":[]}"#.to_owned()),
        Gives::Opaque(delay) => {
            thread::sleep(delay);
            (format!("opaque{number:016x}"), Duration::from_secs(3600))
        }
        Gives::Token(lifetime) => {
            let ends = (unix_seconds() + lifetime.as_secs_f64()).floor();
            let claims = json!({"uid": "dns", "exp": ends, "number": number});
            let token = format!(
                "{}.{}.c2lnbmF0dXJl",
                part(json!({"alg": "HS256"})),
                part(claims)
            );
            (
                token,
                Duration::from_secs_f64((ends - unix_seconds()).max(0.0)),
            )
        }
    };
    lock(&shared.passed).push(token.clone());
    lock(&shared.tokens).push((token.clone(), Instant::now() + lifetime));
    (
        200,
        json!({"token": token, "description": "of a test"}).to_string(),
    )
}

fn unix_seconds() -> f64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    now.expect("after 1970").as_secs_f64()
}

/// What mesos-dns sends, and nothing else.
fn check(head: &str, body: &[u8], shared: &Shared) -> Result<(), String> {
    let account = lock(&shared.account);
    if !head.starts_with(&format!("post {PATH} http/1.")) {
        return Err(format!("not this request: {head}"));
    }
    if !head.contains("content-type: application/json\n") || head.contains("authorization") {
        return Err(format!("not these headers: {head}"));
    }
    let body: Value = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    let fields = body.as_object().map(|object| object.len());
    let token = body["token"].as_str().unwrap_or_default();
    lock(&shared.passed).push(token.to_owned());
    if fields != Some(2) || body["uid"] != account.uid {
        return Err("not these fields, or not this uid".to_owned());
    }
    let parts: Vec<&str> = token.split('.').collect();
    let [header, claims, signature] = parts[..] else {
        return Err(format!("{} parts", parts.len()));
    };
    let json = |part: &str| -> Value {
        let decoded = BASE64_URL_SAFE_NO_PAD.decode(part).unwrap_or_default();
        serde_json::from_slice(&decoded).unwrap_or_default()
    };
    if json(header) != json!({"alg": "RS256", "typ": "JWT"}) {
        return Err(format!("not this header: {}", json(header)));
    }
    let claims_read = json(claims);
    let left = claims_read["exp"].as_i64().unwrap_or_default() as f64 - unix_seconds();
    if claims_read["uid"] != account.uid || !(3500.0..3601.0).contains(&left) {
        return Err(format!("not these claims: {claims_read}"));
    }
    let signature = BASE64_URL_SAFE_NO_PAD.decode(signature);
    let signature = signature.map_err(|error| error.to_string())?;
    match verifies(
        &account.public_key,
        &format!("{header}.{claims}"),
        &signature,
    ) {
        true => Ok(()),
        false => Err("the signature is another's".to_owned()),
    }
}

fn verifies(public_key: &[u8], signed: &str, signature: &[u8]) -> bool {
    let folder = Folder::new();
    let status = Command::new("openssl")
        .args(["dgst", "-sha256", "-verify"])
        .arg(folder.write("public", public_key))
        .arg("-signature")
        .arg(folder.write("signature", signature))
        .arg(folder.write("signed", signed))
        .output()
        .expect("openssl is installed");
    status.status.success()
}
