//! A real Chromium without a screen, driven through chromedriver's WebDriver protocol. In: pages,
//! scripts, keys. Out: what the page came to. It ends with the value, with all processes that it began,
//! and leaves nothing on disk.

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use serde_json::{Value, json};

use super::DEADLINE;

pub struct Browser {
    driver: Child,
    /// `http://127.0.0.1:PORT/session/ID`
    session: String,
    agent: ureq::Agent,
    profile: PathBuf,
}

/// Keys without a character, as WebDriver has them.
pub const ENTER: &str = "\u{e007}";
pub const ESCAPE: &str = "\u{e00c}";
pub const DOWN: &str = "\u{e015}";
pub const TAB: &str = "\u{e004}";

impl Browser {
    pub fn start() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let profile = PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
            .join(format!("rollcall-browser-{}-{count}", std::process::id()));
        std::fs::create_dir_all(&profile).expect("a directory for the profile");
        let mut driver = Command::new("chromedriver")
            .args(["--port=0", "--log-level=SEVERE"])
            .env("HOME", &profile)
            .env("XDG_CONFIG_HOME", &profile)
            .env("XDG_CACHE_HOME", &profile)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            // The browser joins its group, and ends with it.
            .process_group(0)
            .spawn()
            .expect("chromedriver (Debian: chromium-driver)");
        let output = driver.stdout.take().expect("piped");
        let port = BufReader::new(output).lines().find_map(|line| {
            let line = line.ok()?;
            let (_, port) = line.split_once("started successfully on port ")?;
            Some(port.trim_end_matches('.').to_owned())
        });
        let port = port.expect("chromedriver says where it listens");
        let config = ureq::Agent::config_builder()
            .timeout_global(Some(DEADLINE))
            .http_status_as_error(false)
            .build();
        let mut browser = Self {
            driver,
            session: format!("http://127.0.0.1:{port}/session"),
            agent: config.into(),
            profile,
        };
        let profile = format!("--user-data-dir={}", browser.profile.display());
        let options = json!({
            "capabilities": {"alwaysMatch": {
                "browserName": "chrome",
                "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
                "goog:chromeOptions": {"args": [
                    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic",
                    "--no-first-run", "--disable-background-networking",
                    "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
                    "--disable-extensions", "--disable-default-apps", "--hide-scrollbars",
                    "--window-size=1200,900", profile,
                ]},
            }},
        });
        let value = browser.post("", &options);
        let id = value["sessionId"].as_str().expect("a session");
        browser.session = format!("{}/{id}", browser.session);
        browser
    }

    pub fn open(&self, url: &str) {
        self.post("/url", &json!({ "url": url }));
    }

    /// What the body of a function gives.
    pub fn run(&self, script: &str) -> Value {
        self.post("/execute/sync", &json!({ "script": script, "args": [] }))
    }

    /// Polls until an expression is true; panics with it, and what the page shows, at the deadline.
    pub fn wait_for(&self, expression: &str) {
        let script = format!("return !!({expression})");
        let end = std::time::Instant::now() + DEADLINE;
        while self.run(&script) != true {
            if std::time::Instant::now() >= end {
                let text = self.text("body");
                panic!(
                    "never: {expression}\nthe page: {text}\n{:?}",
                    self.console()
                );
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// What a reader sees of the first element of a selector.
    pub fn text(&self, selector: &str) -> String {
        let script = format!("return document.querySelector({selector:?}).innerText");
        self.run(&script).as_str().unwrap_or_default().to_owned()
    }

    /// Types into whatever has the focus.
    pub fn press(&self, keys: &str) {
        let strokes = keys.chars().flat_map(|key| {
            ["keyDown", "keyUp"].map(|kind| json!({ "type": kind, "value": key.to_string() }))
        });
        let strokes: Vec<Value> = strokes.collect();
        let actions = json!([{ "type": "key", "id": "keyboard", "actions": strokes }]);
        self.post("/actions", &json!({ "actions": actions }));
    }

    /// Sizes the page as a screen of so many pixels.
    pub fn resize(&self, width: u32, height: u32) {
        let parameters = json!({
            "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500,
        });
        self.command("Emulation.setDeviceMetricsOverride", &parameters);
    }

    /// Sets what the reader prefers, such as `prefers-color-scheme`.
    pub fn prefer(&self, features: &[(&str, &str)]) {
        let features = features.iter();
        let features = features.map(|(name, value)| json!({ "name": name, "value": value }));
        let features: Vec<Value> = features.collect();
        self.command(
            "Emulation.setEmulatedMedia",
            &json!({ "features": features }),
        );
    }

    /// Lines of the console since the last look.
    pub fn console(&self) -> Vec<String> {
        let lines = self.post("/se/log", &json!({ "type": "browser" }));
        let lines = lines.as_array().into_iter().flatten();
        let lines = lines.map(|line| format!("{}: {}", line["level"], line["message"]));
        lines.collect()
    }

    /// Addresses that were asked since the last look.
    pub fn requested(&self) -> Vec<String> {
        let entries = self.post("/se/log", &json!({ "type": "performance" }));
        let entries = entries.as_array().into_iter().flatten();
        let messages = entries.filter_map(|entry| {
            let message: Value = serde_json::from_str(entry["message"].as_str()?).ok()?;
            let message = &message["message"];
            let is_request = message["method"] == "Network.requestWillBeSent";
            let url = message["params"]["request"]["url"].as_str()?;
            is_request.then(|| url.to_owned())
        });
        messages.collect()
    }

    /// A command of the browser's own protocol.
    fn command(&self, command: &str, parameters: &Value) {
        let body = json!({ "cmd": command, "params": parameters });
        self.post("/goog/cdp/execute", &body);
    }

    fn post(&self, path: &str, body: &Value) -> Value {
        let request = self.agent.post(format!("{}{path}", self.session));
        let request = request.header("Content-Type", "application/json");
        self.call(request.send(body.to_string()))
    }

    fn call(&self, answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> Value {
        let mut answer = answer.expect("chromedriver answers");
        let text = answer.body_mut().read_to_string().expect("a text");
        let mut answer: Value = serde_json::from_str(&text).expect("JSON");
        let value = answer["value"].take();
        assert!(value["error"].is_null(), "chromedriver: {value}");
        value
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Its own way first, so that nothing of it is left behind; the group after that.
        let _ = self.agent.delete(self.session.as_str()).call();
        let group = Pid::from_raw(self.driver.id() as i32);
        let _ = killpg(group, Signal::SIGKILL);
        let _ = self.driver.wait();
        let _ = std::fs::remove_dir_all(&self.profile);
    }
}
