//! Start order, who owns which thread, reload, shutdown order. In: a Config, and signals. Out: a
//! running server, or an error that names the culprit and the cure. It alone knows everyone.
//!
//! Start: open the sockets, or take those that a service manager has open (so that a port in use is told
//! at once and names are answered SERVFAIL until a table is there); give up what is not needed any more,
//! which holds for all threads because there is only one yet; then the answering threads, the HTTP
//! interface and the refresh thread. Stop: the other way round, so that nothing publishes to readers
//! that are gone.
//! Reload: what is new is opened before anything old is given up, so that a configuration that cannot
//! be taken changes nothing.

mod managed;
mod outside;
mod query_log;
mod translate;

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use arc_swap::{ArcSwap, ArcSwapOption};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};
use tracing::{debug, error, info, warn};

use crate::config::{Config, ConfigError, Loaded};
use crate::confine::{self, Confined, OutOfReach};
use crate::feed::Feed;
use crate::http::HttpSettings;
use crate::limits::REFRESH_STOP_MAX;
use crate::mesos::error::MasterError;
use crate::mesos::http::{ClientSettings, Http};
use crate::refresh::{GiveUp, Parts, Refresher, Wake};
use crate::responses::publish::Published;
use crate::serve::handed::Handed;
use crate::serve::respond::Responder;
use crate::serve::{ServeError, ServeOptions, Server, SocketsOpen, engines};
use crate::service::Service;
use crate::stats::engine::EngineInUse;
use crate::stats::freshness::SharedFreshness;
use crate::{cli, http, sys};
use outside::{Host, Outside, Plan};
use query_log::QueryLogger;
use translate::{answering, http_address, refresh_settings, serve_options};

/// A running Rollcall.
pub struct Daemon {
    published: Published,
    /// What HTTP knows beside it: the configuration in force, the freshness, the feed, the engine.
    shown: HttpSettings,
    outside: Outside,
    query_logger: QueryLogger,
    masters: Http,
    server: Option<Server>,
    http: Option<http::Server>,
    refresher: Refresher,
    /// Sockets that are older than this process.
    handed: Handed,
    service: Service,
    confined: Confined,
    /// The service manager keeps the sockets for the next process.
    is_kept: bool,
}

/// Why the program cannot start, or cannot take a configuration.
#[derive(Debug)]
pub enum DaemonError {
    Serve(ServeError),
    Http(http::HttpError),
    Master(MasterError),
    /// Since the start the process may not use what the configuration names.
    Confined(OutOfReach),
    /// A name of the configuration cannot be encoded; `Config::load` refuses it before.
    Name(&'static str),
    Thread(std::io::Error),
    Signals(std::io::Error),
    /// The refresh thread ended the program.
    GaveUp(String),
}

impl std::fmt::Display for DaemonError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Serve(error) => error.fmt(f),
            Self::Http(error) => error.fmt(f),
            Self::Master(error) => error.fmt(f),
            Self::Confined(missed) => missed.fmt(f),
            Self::Name(key) => write!(f, "{key} is not a domain name that can be encoded"),
            Self::Thread(error) => write!(f, "cannot start a thread: {error}"),
            Self::Signals(error) => write!(f, "cannot watch for signals: {error}"),
            Self::GaveUp(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for DaemonError {}

/// Runs until SIGTERM or SIGINT. SIGUSR1 asks the masters at once; SIGHUP has `load` read the
/// configuration anew.
pub fn run(
    config: Config,
    load: impl Fn() -> Result<Loaded, ConfigError>,
) -> Result<(), DaemonError> {
    let watched = [SIGTERM, SIGINT, SIGHUP, SIGUSR1];
    let mut signals = signal_hook::iterator::Signals::new(watched).map_err(DaemonError::Signals)?;
    let gave_up = Arc::new(OnceLock::new());
    let (reason, end) = (Arc::clone(&gave_up), signals.handle());
    let give_up = move |why| {
        // The first reason is the one.
        let _ = reason.set(why);
        end.close();
    };
    let mut daemon = Daemon::start_with(config, Confined::enter, Box::new(give_up))?;
    for signal in signals.forever() {
        match signal {
            SIGUSR1 => daemon.refresher.refresh_now(),
            SIGHUP => daemon.reload_from(&load),
            _ => {
                info!("stopping on signal {signal}");
                break;
            }
        }
    }
    daemon.stop();
    match gave_up.get() {
        Some(why) => Err(DaemonError::GaveUp(why.clone())),
        None => Ok(()),
    }
}

/// What this host would make of a configuration, for `rollcall check`; nothing is started.
pub fn findings(config: &Config) -> Vec<String> {
    let Some(options) = serve_options(config) else {
        return confine::findings(config);
    };
    let mut found = vec![format!("datagrams: {}", engines::choose(options.engine))];
    if let Ok(plan) = Plan::new(config, &Host::look(config)) {
        found.push(plan.line);
        found.extend(plan.warning.map(|warning| format!("warning: {warning}")));
    }
    found.extend(confine::findings(config));
    found
}

/// Chooses the one TLS provider of the whole program. Before anything reads a certificate.
pub fn install_tls_provider() {
    // An error means that it is installed already.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}

impl Daemon {
    /// Starts everything and returns. Nothing but `stop` ends it. The calling thread is not confined:
    /// it is that of a demonstration or a test, which has more to do.
    pub fn start(config: Config) -> Result<Self, DaemonError> {
        let give_up = Box::new(|why| error!("{why}; it goes on"));
        Self::start_with(config, |_| Confined::default(), give_up)
    }

    fn start_with(
        config: Config,
        enter: fn(&Config) -> Confined,
        give_up: GiveUp,
    ) -> Result<Self, DaemonError> {
        sys::memory::use_one_heap();
        if let Err(error) = sys::descriptors::raise_limit() {
            debug!(%error, "the limit on open files stays as it is");
        }
        install_tls_provider();
        let published = Published::default();
        let freshness = SharedFreshness::default();
        let host = Host::look(&config);
        let plan = Plan::new(&config, &host)?;
        let mut outside = Outside::new(config.clone(), host, plan);
        let answering = answering(&config)?;
        let masters = Http::new(&ClientSettings::from(&config)).map_err(DaemonError::Master)?;
        let mut query_logger = QueryLogger::default();
        let (handed, kept_names) = managed::take_passed();
        let confined = Arc::new(OnceLock::new());
        let sockets_open: Arc<dyn Fn() + Send + Sync> = {
            let (confined, config) = (Arc::clone(&confined), config.clone());
            Arc::new(move || _ = confined.get_or_init(|| enter(&config)))
        };
        let server = serve_options(&config)
            .map(|mut options| {
                // What waits there is to be answered, and not with SERVFAIL.
                options.starts_closed = !handed.is_empty();
                options.sockets_open = SocketsOpen(Some(Arc::clone(&sockets_open)));
                start_server(
                    (None, &handed),
                    options,
                    &published,
                    (&outside, &query_logger),
                )
            })
            .transpose()?;
        // Without DNS there was no server to say so.
        sockets_open();
        let confined: Confined = confined.get().cloned().unwrap_or_default();
        outside.watch().map_err(DaemonError::Thread)?;
        query_logger.follow(config.query_log);
        let listen = http_address(&config);
        let shown = HttpSettings {
            config: Arc::new(ArcSwap::from_pointee(config)),
            freshness,
            feed: Feed::default(),
            engine: Arc::new(ArcSwapOption::new(server.as_ref().map(engine_of))),
            sandbox: Arc::clone(confined.shown()),
            forward: Arc::clone(outside.forward()),
        };
        let http = listen
            .map(|listen| http::Server::start(listen, shown.clone(), Arc::clone(&published)))
            .transpose()
            .map_err(DaemonError::Http)?;
        let config = shown.config.load_full();
        let mut service = Service::start(Arc::clone(&published), shown.freshness.clone())
            .map_err(DaemonError::Thread)?;
        service.note_kept(kept_names);
        let refresher = Refresher::start(Parts {
            settings: refresh_settings(&config, masters.clone(), answering),
            published: Arc::clone(&published),
            freshness: shown.freshness.clone(),
            feed: shown.feed.clone(),
            wake: wake_of(&server, &service),
            give_up,
        })
        .map_err(DaemonError::Thread)?;
        let mut daemon = Self {
            published,
            shown,
            outside,
            query_logger,
            masters,
            server,
            http,
            refresher,
            handed,
            service,
            confined,
            is_kept: false,
        };
        daemon.log_addresses(&config.domain);
        daemon.open_doors();
        daemon.outside.log();
        Ok(daemon)
    }

    /// Where DNS is answered, UDP and TCP; nowhere where it is off.
    pub fn dns_addresses(&self) -> &[SocketAddr] {
        self.server.as_ref().map_or(&[], Server::local_addresses)
    }

    pub fn http_address(&self) -> Option<SocketAddr> {
        self.http.as_ref().map(http::Server::local_address)
    }

    /// Where the present Snapshot is found.
    pub fn published(&self) -> &Published {
        &self.published
    }

    /// What is known of the source of the records.
    pub fn freshness(&self) -> &SharedFreshness {
        &self.shown.freshness
    }

    fn reload_from(&mut self, load: &impl Fn() -> Result<Loaded, ConfigError>) {
        self.service.reloading();
        let taken = match load() {
            Ok(loaded) => {
                for warning in &loaded.warnings {
                    warn!("{warning}");
                }
                self.reload(loaded.config)
                    .map_err(|error| error.to_string())
            }
            Err(error) => Err(match self.confined.misses_file_of(&error) {
                Some(missed) => format!("{error}; {missed}"),
                None => error.to_string(),
            }),
        };
        match taken {
            Ok(()) => {
                cli::log::follow(self.shown.config.load().log_format);
                info!("the configuration was read anew and is in force");
            }
            Err(why) => {
                error!("the configuration is not taken: {why}; the one before stays in force");
            }
        }
        self.service.reloaded();
    }

    /// Takes another configuration while it runs. An error changes nothing.
    pub fn reload(&mut self, config: Config) -> Result<(), DaemonError> {
        if let Some(missed) = self.confined.misses(&config) {
            return Err(DaemonError::Confined(missed));
        }
        let old = self.shown.config.load_full();
        let host = Host::look(&config);
        let plan = Plan::new(&config, &host)?;
        let answering = answering(&config)?;
        let (was, is) = (ClientSettings::from(&*old), ClientSettings::from(&config));
        let masters = match was == is {
            true => self.masters.clone(),
            false => Http::new(&is).map_err(DaemonError::Master)?,
        };
        let options = serve_options(&config);
        let same_address = match (&options, serve_options(&old)) {
            (Some(new), Some(old)) => {
                (&new.listeners, new.port) == (&old.listeners, old.port)
                    && new.engine == old.engine
                    && self.server.as_ref().is_some_and(Server::is_current)
            }
            (new, old) => new.is_none() && old.is_none(),
        };
        let listen = http_address(&config);
        let same_http = listen == http_address(&old);
        let http = listen
            .filter(|_| !same_http)
            .map(|listen| {
                http::Server::start(listen, self.shown.clone(), Arc::clone(&self.published))
            })
            .transpose()
            .map_err(DaemonError::Http)?;
        // Two servers may share sockets and a port, so that the new one is there before the old one goes.
        let server = options
            .filter(|_| !same_address)
            .map(|options| {
                let before = (self.server.as_ref(), &self.handed);
                let beside = (&self.outside, &self.query_logger);
                start_server(before, options, &self.published, beside)
            })
            .transpose()?;
        if let Some(server) = self.server.as_mut().filter(|_| same_address) {
            server
                .set_workers(config.workers)
                .map_err(DaemonError::Serve)?;
        }
        // From here on nothing can fail.
        if self.confined.is_outdated(&config) {
            warn!(
                "Sandbox {} takes a restart to be in force",
                config.sandbox.name()
            );
        }
        self.query_logger.follow(config.query_log);
        self.outside.configure(config.clone(), host, plan);
        self.outside.log();
        self.masters = masters;
        if !same_address {
            self.server = server;
            self.shown.engine.store(self.server.as_ref().map(engine_of));
        }
        if !same_http {
            self.http = http;
        }
        let settings = refresh_settings(&config, self.masters.clone(), answering);
        let wake = wake_of(&self.server, &self.service);
        self.refresher.configure(settings, wake);
        self.tell_service();
        if !same_address || !same_http {
            self.log_addresses(&config.domain);
        }
        self.shown.config.store(Arc::new(config));
        Ok(())
    }

    /// Stops every thread, within 2 s: what is in flight is finished.
    pub fn stop(self) {
        self.service.stop();
        self.refresher.stop(REFRESH_STOP_MAX);
        if let Some(http) = self.http {
            http.stop();
        }
        if let Some(server) = self.server {
            match self.is_kept {
                true => server.hand_over(),
                false => server.stop(),
            }
        }
    }

    fn log_addresses(&self, domain: &str) {
        let addresses = self.dns_addresses().iter().map(SocketAddr::to_string);
        let addresses: Vec<_> = addresses.collect();
        if !addresses.is_empty() {
            info!("answering DNS for {domain} on {}", addresses.join(", "));
        }
        if let Some(server) = &self.server {
            let choice = server.engine();
            let uses = choice.uses.name();
            match choice.fell_back {
                true => warn!("datagrams are moved by {uses}: {}", choice.why),
                false => info!("datagrams are moved by {uses}: {}", choice.why),
            }
        }
        if let Some(address) = self.http_address() {
            info!("answering HTTP on {address}");
        }
    }
}

/// `before`: the server that it replaces, and what was handed to the process.
fn start_server(
    before: (Option<&Server>, &Handed),
    mut options: ServeOptions,
    published: &Published,
    (outside, query_logger): (&Outside, &QueryLogger),
) -> Result<Server, DaemonError> {
    options.forward = Some(Arc::clone(outside.forward()));
    options.query_log = Arc::clone(query_logger.log());
    let settings = Arc::clone(outside.respond_settings());
    let responder = move |seed| Responder::following(Arc::clone(&settings), seed);
    let (replaced, handed) = before;
    Server::start_beside(replaced, handed, &options, published, responder)
        .map_err(DaemonError::Serve)
}

fn engine_of(server: &Server) -> Arc<EngineInUse> {
    let choice = server.engine();
    Arc::new(EngineInUse {
        name: choice.uses.name(),
        why: choice.why.clone(),
        stats: server.stats(),
    })
}

/// Wakes the answering threads, where there are any, and has the service manager told.
fn wake_of(server: &Option<Server>, service: &Service) -> Wake {
    let woken = server.as_ref().map(Server::waker);
    let look = service.looker();
    Box::new(move || {
        woken.iter().for_each(|wake| wake());
        look();
    })
}
