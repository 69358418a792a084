//! The figures as a picture. In: the figures of a run. Out: an SVG with a row for each kind of queries and
//! three panels in it: CPU, rate, times. A bar is a median, its line the least and the most.

use std::fmt::Write as _;

use crate::figures::{CPU, Figures, RATE, Spread, time_name};
use crate::options::Options;
use crate::queries::Kind;
use crate::report::Machine;
use crate::stage::Stage;

pub fn svg(options: &Options, stage: &Stage, figures: &Figures) -> String {
    let servers = stage.servers.len() as f64;
    let row_height = servers * BAR_STEP + 62.0;
    let width = LABELS + PANELS as f64 * PANEL;
    let height = 58.0 + options.kinds.len() as f64 * row_height;
    let machine = Machine::look();
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {width} {height}\" font-family=\"DejaVu Sans, Helvetica, Arial, sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
    );
    line(
        &mut text,
        16.0,
        24.0,
        "font-size=\"16\" font-weight=\"bold\"",
        &format!(
            "DNS servers on one core, {} names",
            stage.zone.records.len()
        ),
    );
    let place = format!(
        "{}, {} cores, Linux {}, {}; median of {} rounds, lines from the least to the most",
        machine.model, machine.cores, machine.kernel, machine.date, options.rounds
    );
    line(&mut text, 16.0, 42.0, "fill=\"#555\"", &place);
    for (row, &kind) in options.kinds.iter().enumerate() {
        let top = 58.0 + row as f64 * row_height;
        let title = format!("{kind}: {}", kind.meaning());
        let bold = "font-weight=\"bold\"";
        line(&mut text, 16.0, top + 16.0, bold, &title);
        for (index, server) in stage.servers.iter().enumerate() {
            let y = top + 44.0 + index as f64 * BAR_STEP + 13.0;
            let end = "text-anchor=\"end\"";
            line(&mut text, LABELS - 8.0, y, end, &server.peer.name);
        }
        panel(&mut text, stage, figures, kind, top, &CPU_PANEL);
        panel(&mut text, stage, figures, kind, top, &RATE_PANEL);
        panel(&mut text, stage, figures, kind, top, &TIME_PANEL);
    }
    text += "</svg>\n";
    text
}

/// What one column shows.
struct Panel {
    column: f64,
    title: &'static str,
    what: fn() -> String,
    scale: f64,
    digits: usize,
}

const CPU_PANEL: Panel = Panel {
    column: 0.0,
    title: "CPU, us a query (less is better)",
    what: || CPU.to_owned(),
    scale: 1.0,
    digits: 2,
};
const RATE_PANEL: Panel = Panel {
    column: 1.0,
    title: "1,000 queries/s without loss (more is better)",
    what: || RATE.to_owned(),
    scale: 0.001,
    digits: 0,
};
const TIME_PANEL: Panel = Panel {
    column: 2.0,
    title: "p99, us at 50 % of its rate (less is better)",
    what: || time_name("p99", 50),
    scale: 1.0,
    digits: 0,
};

fn panel(text: &mut String, stage: &Stage, figures: &Figures, kind: Kind, top: f64, panel: &Panel) {
    let left = LABELS + panel.column * PANEL;
    line(text, left, top + 36.0, "fill=\"#555\"", panel.title);
    let servers = 0..stage.servers.len();
    let what = (panel.what)();
    let spreads = servers.map(|index| figures.spread(kind, index, &what));
    let spreads: Vec<Option<Spread>> = spreads.collect();
    let medians = spreads.iter().flatten().map(|spread| spread.median);
    // One wild round of a slow server must not flatten all bars.
    let most = 1.25 * medians.fold(0.0, f64::max);
    let length = |value: f64| (value / most).min(1.0) * BAR_MAX;
    for (index, spread) in spreads.iter().enumerate() {
        let y = top + 44.0 + index as f64 * BAR_STEP;
        let Some(spread) = spread.filter(|_| most > 0.0) else {
            line(text, left, y + 13.0, "fill=\"#999\"", "-");
            continue;
        };
        let (bar, from, to) = (
            length(spread.median),
            left + length(spread.min),
            left + length(spread.max),
        );
        let middle = y + 9.0;
        writeln!(
            text,
            "<rect x=\"{left}\" y=\"{y}\" width=\"{bar:.1}\" height=\"18\" fill=\"{}\"/>\n\
             <path d=\"M{from:.1} {middle}H{to:.1}M{from:.1} {}v6M{to:.1} {}v6\" stroke=\"#222\" fill=\"none\"/>",
            color(&stage.servers[index].peer.name),
            middle - 3.0,
            middle - 3.0,
        )
        .expect("a string has room");
        let digits = panel.digits;
        let value = format!("{:.digits$}", spread.median * panel.scale);
        let x = left + bar.max(to - left) + 6.0;
        line(text, x, y + 13.0, "fill=\"#222\"", &value);
    }
}

fn line(text: &mut String, x: f64, y: f64, style: &str, content: &str) {
    let content = content.replace('&', "&amp;").replace('<', "&lt;");
    writeln!(
        text,
        "<text x=\"{x:.1}\" y=\"{y:.1}\" {style}>{content}</text>"
    )
    .expect("room");
}

/// Ours stand out, the floor steps back.
fn color(name: &str) -> &'static str {
    match name {
        "echo" => "#c8c8c8",
        "before" => "#9db8d9",
        _ if name.starts_with("rollcall") => "#2f6db5",
        _ => "#d9a05b",
    }
}

const LABELS: f64 = 130.0;
const PANELS: usize = 3;
const PANEL: f64 = 330.0;
const BAR_MAX: f64 = 250.0;
const BAR_STEP: f64 = 24.0;
