//! What each part needs of the configuration. In: a checked Config. Out: the settings of the parts,
//! none of which knows the others'. Pure, but for the machine's name.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::DaemonError;
use crate::config::{self, Config, IpSource};
use crate::dns::cookie;
use crate::dns::name::wire_from_text;
use crate::dns::subnet::{Blocks, Subnet};
use crate::forward::{self, routes::Routes};
use crate::limits::FORWARD_TIMEOUT_OF_ZERO;
use crate::mesos::cluster::{AddressSource, Endpoint};
use crate::mesos::http::Http;
use crate::records::{Naming, Rules, Unhealthy};
use crate::refresh::warm::Identity;
use crate::refresh::{self, HoldSettings, WarmSettings};
use crate::responses::zone::Answering;
use crate::serve::ServeOptions;
use crate::serve::respond::{Chaos, Forwarding, Limiting, Settings, SubnetFirst};
use crate::sys;

/// Where DNS is served, and by how many threads; `None`: it is not. What they follow is not in it yet.
pub fn serve_options(config: &Config) -> Option<ServeOptions> {
    config.dns_on.then(|| ServeOptions {
        workers: config.workers,
        seed: fastrand::u64(..),
        engine: config.engine,
        ..ServeOptions::at(config.listeners.clone(), config.port)
    })
}

/// Where HTTP is served; `None`: it is not.
pub fn http_address(config: &Config) -> Option<SocketAddr> {
    config
        .http_on
        .then(|| SocketAddr::new(config.http_listener, config.http_port))
}

/// What `respond` needs of the configuration.
/// Names outside are forwarded for `allowed`, where they are forwarded at all.
pub fn respond_settings(config: &Config, allowed: &[Subnet]) -> Result<Settings, DaemonError> {
    let chaos = config.chaos_on.then(|| Chaos {
        version: concat!("rollcall ", env!("CARGO_PKG_VERSION")).into(),
        hostname: host_name().into(),
    });
    Ok(Settings {
        domain: Answering::wire_domain(&config.domain).map_err(|_| DaemonError::Name("Domain"))?,
        recurse_on: config.recurse_on,
        set_truncate_bit: config.set_truncate_bit,
        reverse_dns_on: config.reverse_dns_on,
        reverse_zones: config.reverse_zones.clone().into(),
        subnet_first: config.resolv_subnet_first.then(|| SubnetFirst {
            believed: Blocks::new(&config.client_subnet_from),
        }),
        chaos,
        limiting: Limiting {
            per_second: config.rate_limit,
            slip: config.rate_limit_slip,
            exempt: Blocks::new(&config.rate_limit_exempt),
        },
        cookie_secret: config.cookie_secret.unwrap_or_else(own_cookie_secret),
        forwarding: config.external_on.then(|| Forwarding {
            allowed: Blocks::new(allowed),
        }),
    })
}

/// What forwarding needs of the configuration. `resolvers` are those that it names, or that this host
/// does.
pub fn forward_settings(
    config: &Config,
    resolvers: &[SocketAddr],
) -> Result<forward::Settings, DaemonError> {
    let zones = config.zone_resolvers.iter().map(|(zone, resolvers)| {
        let wire = wire_from_text(zone).map_err(|_| DaemonError::Name("ZoneResolvers"))?;
        Ok((wire.into(), resolvers.as_slice().into()))
    });
    let timeout = match config.forward_timeout {
        Duration::ZERO => FORWARD_TIMEOUT_OF_ZERO,
        timeout => timeout,
    };
    Ok(forward::Settings {
        routes: Routes::new(resolvers, zones.collect::<Result<Vec<_>, DaemonError>>()?),
        timeout,
        cache_bytes: usize::try_from(config.cache_bytes).unwrap_or(usize::MAX),
        ttl_min_seconds: config.cache_ttl_min_seconds,
        ttl_max_seconds: config.cache_ttl_max_seconds,
    })
}

/// What the table needs of the configuration.
pub fn answering(config: &Config) -> Result<Answering, DaemonError> {
    let wire = |key, text: &str| wire_from_text(text).map_err(|_| DaemonError::Name(key));
    Ok(Answering {
        domain: Answering::wire_domain(&config.domain).map_err(|_| DaemonError::Name("Domain"))?,
        ttl_seconds: config.ttl_seconds,
        srv_weight: config.srv_weight,
        soa_mname: wire("SOAMname", &config.soa.mname)?.into(),
        soa_rname: wire("SOARname", &config.soa.rname)?.into(),
        soa_refresh_seconds: config.soa.refresh_seconds,
        soa_retry_seconds: config.soa.retry_seconds,
        soa_expire_seconds: config.soa.expire_seconds,
        soa_minimum_seconds: config.soa.minimum_seconds,
    })
}

/// What refreshing needs of the configuration.
pub fn refresh_settings(config: &Config, http: Http, answering: Answering) -> refresh::Settings {
    refresh::Settings {
        source: config.source,
        http,
        zk: config.zk.clone(),
        zk_exit_after: Some(config.zk_detection_timeout)
            .filter(|timeout| config.exit_on_zk_timeout && !timeout.is_zero()),
        masters: masters(config),
        state_bytes_max: config.state_bytes_max,
        interval: config.refresh_interval,
        check_factor: config.check_factor,
        publish_interval: config.publish_interval,
        state_timeout: config.state_timeout,
        hold: HoldSettings {
            agents_percent: config.hold_percent,
            time_max: config.hold_max,
        },
        naming: naming(config),
        listeners: config.listeners.clone(),
        static_file: config.static_records.clone(),
        answering,
        warm: config
            .state_directory
            .clone()
            .map(|directory| WarmSettings {
                directory,
                identity: Identity {
                    zk: config.zk_shown(),
                    masters: masters(config).iter().map(Endpoint::to_string).collect(),
                },
            }),
    }
}

fn masters(config: &Config) -> Vec<Endpoint> {
    let masters = config.masters.iter().map(|master| Endpoint {
        host: master.host.as_str().into(),
        port: Some(master.port),
    });
    masters.collect()
}

/// What names are made from; the listener's and this machine's addresses are filled in by each refresh.
fn naming(config: &Config) -> Naming {
    Naming {
        domain: config.domain.as_str().into(),
        rfc952: config.enforce_rfc952,
        ip_sources: config
            .ip_sources
            .iter()
            .map(|&source| address_source(source))
            .collect(),
        masters: masters(config).into(),
        soa_mname: config.soa.mname.as_str().into(),
        listener_addresses: Box::new([] as [IpAddr; 0]),
        statics: config
            .static_records
            .as_ref()
            .map(|file| Arc::clone(&file.records))
            .unwrap_or_default(),
        rules: Rules {
            unhealthy: match config.unhealthy {
                config::Unhealthy::Serve => Unhealthy::Serve,
                config::Unhealthy::Last => Unhealthy::Last,
                config::Unhealthy::Omit => Unhealthy::Omit,
            },
            prefer_local: config.prefer_local,
            skip_netinfo_for_bridge: config.skip_netinfo_for_bridge,
            ip_allow: config.ip_allow.clone().into(),
            ip_deny: config.ip_deny.clone().into(),
        },
        own_addresses: Box::default(),
    }
}

fn address_source(source: IpSource) -> AddressSource {
    match source {
        IpSource::Host => AddressSource::Host,
        IpSource::Mesos => AddressSource::Mesos,
        IpSource::Docker => AddressSource::Docker,
        IpSource::NetInfo => AddressSource::NetInfo,
    }
}

/// Of this process, as long as it lives: a reload must not make cookies bad that clients have.
fn own_cookie_secret() -> cookie::Secret {
    static OWN: OnceLock<cookie::Secret> = OnceLock::new();
    *OWN.get_or_init(|| {
        let mut octets = [0; 16];
        let source = rustls::crypto::aws_lc_rs::default_provider().secure_random;
        if source.fill(&mut octets).is_err() {
            tracing::warn!("no randomness can be had: cookies of DNS can be guessed");
        }
        cookie::Secret::new(octets)
    })
}

/// The machine's name, for `hostname.bind`.
fn host_name() -> String {
    sys::host::name().unwrap_or_else(|_| "localhost".into())
}
