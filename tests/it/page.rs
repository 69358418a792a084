//! The status page in a real browser, and what it is made of over plain HTTP: it is fresh, live, usable
//! by keyboard alone, and shows what strangers chose as text.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use rollcall::simulate::{SimulateOptions, Simulator};
use serde_json::{Value, json};

use crate::support::browser::{Browser, DOWN, ENTER, ESCAPE, TAB};
use crate::support::process::Rollcall;
use crate::support::vigil::addresses_of;
use crate::support::wait_until;

const WEB: &str = "web.marathon.mesos";
/// A framework may call its tasks what it likes.
const STRANGE: &str = "<img src=x onerror=alert(1)>";

fn cluster() -> Simulator {
    let options = SimulateOptions {
        agents: 4,
        tasks: 40,
        ..SimulateOptions::default()
    };
    Simulator::start(&options).expect("a simulated master")
}

fn serving(master: &Simulator, settings: Value) -> Rollcall {
    let rollcall = Rollcall::serving(&[master.address()], settings);
    wait_until("stream", || rollcall.status()["source"] == "stream");
    rollcall
}

fn page_of(rollcall: &Rollcall) -> String {
    format!("http://{}/", rollcall.http_address())
}

#[test]
fn page_shows_age_and_changes_live_and_comes_back_after_a_restart() {
    let master = cluster();
    let mut rollcall = serving(&master, json!({}));
    let browser = Browser::start();
    let page = page_of(&rollcall);
    browser.open(&page);
    browser.wait_for("document.querySelector('#age').textContent.match(/^[0-9.]+s$/)");
    browser.wait_for("document.querySelector('#link-text').textContent === 'live'");
    assert_eq!(browser.text("#verdict"), "fresh");
    assert!(browser.text("#facts").contains("event stream"));
    // Every second there is a sample, and what was asked is in it.
    let client = rollcall.client();
    browser.wait_for("state.samples.length > 0");
    for _ in 0..20 {
        client.ask_tcp_data(WEB, crate::support::client::A);
    }
    browser.wait_for("document.querySelector('#rcodes').textContent.includes('NOERROR')");
    browser.wait_for("document.querySelector('#latency').textContent.includes('s')");

    master.step_app("web").expect("web runs");
    // With its new port, wherever it went.
    browser.wait_for(
        "[...document.querySelectorAll('#changes li')].some((row) => \
         row.textContent.includes('_web._tcp.marathon.mesos') && row.textContent.includes('+ '))",
    );
    rollcall.signal("TERM");
    let (_, took) = rollcall.wait_for_end();
    assert!(took < Duration::from_secs(2), "a stream held up the stop");
    browser.wait_for("document.querySelector('#link-text').textContent.includes('lost')");
    browser.wait_for("document.querySelector('#ago').textContent.startsWith('as it was')");
    let epoch = browser.run("return state.epoch");
    rollcall.start_again();
    browser.wait_for(&format!(
        "document.querySelector('#link-text').textContent === 'live' && state.epoch !== {epoch}"
    ));
    // Only the lost connection may have been complained of.
    let errors = browser.console().into_iter();
    let errors: Vec<String> = errors.filter(|line| !line.contains("net::ERR_")).collect();
    assert!(errors.is_empty(), "{errors:?}");
    let asked = browser.requested();
    // The browser's own start page comes from within it.
    let inside = [page.as_str(), "data:", "chrome"];
    let outside = |url: &&String| !inside.iter().any(|begin| url.starts_with(begin));
    let outside: Vec<&String> = asked.iter().filter(outside).collect();
    assert!(asked.len() > 1 && outside.is_empty(), "{outside:?}");
}

#[test]
fn names_are_found_and_explained_by_keyboard_alone_and_strange_ones_are_text() {
    let master = cluster();
    master
        .add_framework(STRANGE, STRANGE, 1)
        .expect("a framework");
    let rollcall = serving(&master, json!({}));
    let browser = Browser::start();
    browser.open(&page_of(&rollcall));
    browser.wait_for("document.querySelector('#link-text').textContent === 'live'");
    // The search box is the first thing that takes the focus.
    browser.press(TAB);
    browser.press("web.mara");
    browser.wait_for("document.querySelectorAll('#hits button').length > 0");
    browser.press(DOWN);
    let name = browser.run("return document.activeElement.dataset.name");
    assert_eq!(name, format!("{WEB}."));
    browser.press(ENTER);
    browser.wait_for("!document.querySelector('#detail').hidden");
    let detail = browser.text("#detail");
    for address in addresses_of(&master, "web") {
        assert!(detail.contains(&address), "{detail}");
    }
    assert!(detail.contains("task"), "why it has them: {detail}");
    browser.press(ESCAPE);
    let focused = "document.activeElement.id === 'q' && document.querySelector('#detail').hidden";
    browser.wait_for(focused);

    // Its name as DNS has it, found by what is left of it; the explanation has it as it is.
    browser.run("document.querySelector('#q').value = ''");
    browser.press("img");
    browser.wait_for("[...document.querySelectorAll('#hits button')].some((it) => it.dataset.name.includes('onerror'))");
    browser.press(DOWN);
    browser.press(ENTER);
    browser.wait_for("document.querySelector('#detail').textContent.includes('<img')");
    assert_eq!(
        browser.run("return document.querySelectorAll('img, b > *').length"),
        0
    );
    assert_eq!(browser.console(), Vec::<String>::new());
}

#[test]
fn page_fits_a_phone_and_heeds_what_its_reader_prefers() {
    let master = cluster();
    let rollcall = serving(&master, json!({}));
    let browser = Browser::start();
    browser.resize(320, 640);
    browser.prefer(&[("prefers-color-scheme", "light")]);
    browser.open(&page_of(&rollcall));
    browser.wait_for("document.querySelector('#link-text').textContent === 'live'");
    master.step_app("web").expect("web runs");
    browser.wait_for("document.querySelectorAll('#changes li').length > 0");
    browser.press(TAB);
    browser.press("_web");
    browser.wait_for("document.querySelectorAll('#hits button').length > 0");
    browser.press(ENTER);
    browser.wait_for("!document.querySelector('#detail').hidden");
    let width = browser.run("return document.documentElement.scrollWidth");
    assert_eq!(width, 320, "it scrolls sideways");
    let colours = || {
        browser.run(
            "const style = getComputedStyle(document.body); \
             return [style.backgroundColor, style.color]",
        )
    };
    let light = colours();
    browser.prefer(&[
        ("prefers-color-scheme", "dark"),
        ("prefers-reduced-motion", "reduce"),
    ]);
    let dark = colours();
    assert_ne!(light[0], dark[0]);
    assert_ne!(light[1], dark[1]);
    let moves = "return [...document.querySelectorAll('*')].filter((it) => { \
         const style = getComputedStyle(it); \
         return style.animationName !== 'none' || style.transitionDuration !== '0s' }).length";
    assert_eq!(browser.run(moves), 0, "something moves");
    assert_eq!(browser.console(), Vec::<String>::new());
}

#[test]
fn page_asks_for_the_token_and_lists_no_changed_name_without() {
    let master = cluster();
    let rollcall = serving(&master, json!({"HttpToken": "tokentokentoken"}));
    let browser = Browser::start();
    browser.open(&page_of(&rollcall));
    browser.wait_for("document.querySelector('#link-text').textContent === 'live'");
    browser.press(TAB);
    browser.press("web.mara");
    browser.wait_for("!document.querySelector('#token-form').hidden");
    browser.press(TAB);
    for (token, shown) in [
        (
            "wrong",
            "document.querySelector('#told').textContent.includes('not the token')",
        ),
        (
            "tokentokentoken",
            "document.querySelectorAll('#hits button').length > 0",
        ),
    ] {
        browser.run("document.querySelector('#token').value = ''");
        browser.press(token);
        browser.press(ENTER);
        browser.wait_for(shown);
    }
    browser.wait_for("document.querySelector('#token-form').hidden");
    master.step_app("web").expect("web runs");
    browser.wait_for("document.querySelectorAll('#changes li').length > 0");
    assert!(!browser.text("#changes").contains("marathon"));
}

#[test]
fn page_and_its_stream_can_be_turned_off_while_it_runs() {
    let master = cluster();
    let rollcall = serving(&master, json!({}));
    let (_, head) = begin(&rollcall, "/");
    let policy = "content-security-policy: default-src 'none';";
    assert!(head.contains(policy) && !head.contains("unsafe"), "{head}");
    let mut stream = live(&rollcall);
    rollcall.reconfigure(json!({"statusPage": false}));
    for path in ["/", "/v1/live"] {
        let (status, body) = rollcall.get(path);
        assert_eq!((status, &*body), (404, "404: Page Not Found"), "{path}");
    }
    assert_eq!(rollcall.get("/v1/names").0, 200);
    // What was open ends, and as a whole.
    let mut rest = String::new();
    stream.read_to_string(&mut rest).expect("an end");
    assert!(rest.ends_with("\r\n0\r\n\r\n"), "{rest}");
    rollcall.reconfigure(json!({"StatusPage": true, "EnumerationOn": false}));
    assert_eq!(rollcall.get("/").0, 200);
    assert_eq!(rollcall.get("/v1/names").0, 404);
    // Changes are counted then, and their names kept.
    let mut stream = live(&rollcall);
    master.step_app("web").expect("web runs");
    let mut text = String::new();
    wait_until("counted change", || {
        let mut piece = [0; 4096];
        let length = stream.read(&mut piece).expect("events");
        text.push_str(&String::from_utf8_lossy(&piece[..length]));
        text.contains("event: changes")
    });
    assert!(
        text.contains(r#""names":[]"#) && !text.contains("web.marathon"),
        "{text}"
    );
}

#[test]
fn names_are_searched_with_a_bound() {
    let master = cluster();
    let rollcall = serving(&master, json!({}));
    let find = |query: &str| -> Value {
        let (status, body) = rollcall.get(&format!("/v1/names?{query}"));
        assert_eq!(status, 200, "{body}");
        serde_json::from_str(&body).expect("JSON")
    };
    let all = find("limit=1000");
    let names = all["names"].as_array().expect("a list");
    assert!(names.len() > 40 && all["matches"] == names.len(), "{all}");
    assert!(names.is_sorted_by_key(|it| it["name"].as_str()));
    let web = find("prefix=WEB.marathon");
    assert_eq!(
        web["names"][0],
        json!({"name": "web.marathon.mesos.", "types": ["A"]})
    );
    let few = find("contains=mesos&limit=3");
    assert_eq!(few["names"].as_array().map(Vec::len), Some(3));
    assert!(few["matches"].as_u64() > Some(40), "{few}");
    assert_eq!(find("contains=no-such-name")["matches"], 0);
    assert_eq!(rollcall.get("/v1/names?limit=many").0, 400);
}

/// A stream of events whose head was read.
fn live(rollcall: &Rollcall) -> TcpStream {
    let (stream, head) = begin(rollcall, "/v1/live");
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    stream
}

/// The head of an answer, and what is to come.
fn begin(rollcall: &Rollcall, path: &str) -> (TcpStream, String) {
    let mut stream = TcpStream::connect(rollcall.http_address()).expect("it listens");
    let patience = Some(crate::support::DEADLINE);
    stream.set_read_timeout(patience).expect("a timeout");
    let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("it reads");
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut octet = [0];
        stream.read_exact(&mut octet).expect("a head");
        head.extend(octet);
    }
    (stream, String::from_utf8(head).expect("a text"))
}
