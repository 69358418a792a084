//! Which applications a made-up cluster runs. In: how many tasks. Out: frameworks and applications of
//! every kind that naming rules treat differently. The first ones are always the same, so that a
//! demonstration can name them.

/// A framework of the cluster; its number in `FRAMEWORKS` is that of its id.
pub struct FrameworkPlan {
    pub name: &'static str,
    /// Only libprocess schedulers have one (most are HTTP schedulers today).
    pub pid: Option<&'static str>,
    pub hostname: &'static str,
}

pub const FRAMEWORKS: [FrameworkPlan; 5] = [
    FrameworkPlan {
        name: "marathon",
        pid: Some("scheduler-8f1b2c@10.200.0.1:9090"),
        hostname: "marathon-1.example.internal",
    },
    FrameworkPlan {
        name: "cassandra.prod",
        pid: Some("scheduler-c0ffee@10.200.0.2:9091"),
        hostname: "10.200.0.2",
    },
    FrameworkPlan {
        name: "chronos-2.5",
        pid: None,
        hostname: "10.200.0.3",
    },
    FrameworkPlan {
        name: "Spark_Jobs (batch)",
        pid: None,
        hostname: "",
    },
    FrameworkPlan {
        name: "metronome",
        pid: None,
        hostname: "10.200.0.5",
    },
];

/// How an application is made; what is not said here is the same for all.
#[derive(Clone, Debug)]
pub struct AppPlan {
    pub framework: usize,
    /// The task's name, as the framework gives it.
    pub name: String,
    pub style: IdStyle,
    pub instances: usize,
    /// Host ports of each instance.
    pub ports: u8,
    pub has_discovery: bool,
    /// Names of the discovery ports; an empty name is a port without one.
    pub port_names: &'static [&'static str],
    /// `network_infos` of its own (container or bridge network).
    pub has_address: bool,
    pub has_ipv6: bool,
    pub docker: Docker,
    /// What one instance asks for.
    pub cpus: f64,
    pub mem_mb: u32,
}

/// How a framework writes task ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdStyle {
    /// `prod_web.instance-UUID._app.1`
    Marathon,
    /// `shop_cart.instance-UUID.nginx`, with an executor shared by the pod's containers.
    Pod,
    /// `ct:MILLISECONDS:0:NAME:`
    Chronos,
    /// A number.
    Plain,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Docker {
    None,
    Host,
    Bridge,
    User,
}

/// The applications of a cluster of so many tasks.
pub fn apps(task_count: usize) -> Vec<AppPlan> {
    let mut left = task_count;
    let mut apps: Vec<AppPlan> = Vec::new();
    for mut plan in fixed(task_count) {
        plan.instances = plan.instances.min(left);
        left -= plan.instances;
        if plan.instances > 0 {
            apps.push(plan);
        }
    }
    let mut index = 0;
    while left > 0 {
        let mut plan = filler(index);
        plan.instances = plan.instances.min(left);
        left -= plan.instances;
        apps.push(plan);
        index += 1;
    }
    apps
}

/// Every cluster has one that waits for a machine with enough memory.
pub fn hungry() -> AppPlan {
    AppPlan {
        ports: 0,
        has_discovery: false,
        cpus: 4.0,
        mem_mb: 4_096,
        ..base("hungry", 1)
    }
}

/// The application of a framework that is added while the cluster runs.
pub fn added(framework: usize, name: &str, instances: usize) -> AppPlan {
    AppPlan {
        framework,
        has_address: true,
        ..base(name, instances)
    }
}

fn base(name: &str, instances: usize) -> AppPlan {
    AppPlan {
        framework: 0,
        name: name.to_owned(),
        style: IdStyle::Marathon,
        instances,
        ports: 1,
        has_discovery: true,
        port_names: &["http"],
        has_address: false,
        has_ipv6: false,
        docker: Docker::None,
        cpus: 0.5,
        mem_mb: 256,
    }
}

/// The applications that every cluster has, as far as its tasks go.
fn fixed(task_count: usize) -> Vec<AppPlan> {
    vec![
        base("web", 4),
        AppPlan {
            port_names: &["gossip", "native"],
            ports: 2,
            has_address: true,
            docker: Docker::User,
            ..base("cassandra-seed", 3)
        },
        // Without DiscoveryInfo: mesos-dns takes the ports of its resources.
        AppPlan {
            has_discovery: false,
            ports: 2,
            docker: Docker::Bridge,
            has_address: true,
            ..base("api.shop", 3)
        },
        AppPlan {
            style: IdStyle::Pod,
            has_address: true,
            has_ipv6: true,
            ..base("nginx", 2)
        },
        AppPlan {
            style: IdStyle::Pod,
            has_discovery: false,
            has_address: true,
            has_ipv6: true,
            ports: 0,
            ..base("sidecar", 2)
        },
        // Names as people write them.
        base("Web.Front_End", 2),
        AppPlan {
            has_discovery: false,
            ..base("team-a/blue/checkout", 2)
        },
        AppPlan {
            framework: 1,
            style: IdStyle::Plain,
            ports: 3,
            port_names: &["native", "", "jmx"],
            has_address: true,
            docker: Docker::User,
            ..base("node-server", 5)
        },
        AppPlan {
            framework: 2,
            style: IdStyle::Chronos,
            has_discovery: false,
            ports: 0,
            ..base("ChronosTask:nightly-backup", 1)
        },
        AppPlan {
            framework: 3,
            style: IdStyle::Plain,
            has_discovery: false,
            ports: 0,
            docker: Docker::Host,
            ..base("Executor 7 (ETL)", 3)
        },
        // One application with many instances: answers that do not fit UDP.
        AppPlan {
            has_address: true,
            docker: Docker::User,
            ..base("worker", (task_count / 20).clamp(8, 2_000))
        },
    ]
}

/// The rest of the cluster: every kind in turn.
fn filler(index: usize) -> AppPlan {
    const SERVICES: [&str; 12] = [
        "billing", "search", "mail", "catalog", "orders", "stock", "auth", "media", "report",
        "session", "price", "chat",
    ];
    const STAGES: [&str; 4] = ["prod", "staging", "canary", "test"];
    let service = SERVICES[index % SERVICES.len()];
    let stage = STAGES[index / SERVICES.len() % STAGES.len()];
    let round = index / (SERVICES.len() * STAGES.len());
    let kind = index % 10;
    let framework = match kind {
        7 => 2,
        8 => 4,
        _ => 0,
    };
    let is_job = framework != 0;
    AppPlan {
        framework,
        name: match (is_job, round) {
            (true, _) => format!("{service}-job-{round}"),
            (false, 0) => format!("{service}.{stage}"),
            (false, _) => format!("{service}-{round}.{stage}"),
        },
        style: if is_job {
            IdStyle::Chronos
        } else {
            IdStyle::Marathon
        },
        instances: if is_job { 1 } else { 1 + index % 6 },
        ports: if is_job { 0 } else { 1 + (index % 3) as u8 },
        has_discovery: !is_job && kind.is_multiple_of(2),
        port_names: &["http", "metrics", "admin"],
        has_address: !kind.is_multiple_of(3),
        has_ipv6: kind == 4,
        docker: match kind {
            0 => Docker::None,
            3 | 6 | 9 => Docker::Host,
            1 | 2 => Docker::Bridge,
            _ => Docker::User,
        },
        ..base("", 0)
    }
}
