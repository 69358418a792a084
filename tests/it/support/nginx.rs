//! The real nginx as the front of a master: TLS, client certificates, passwords. One process, ended with
//! the value by its process id.

use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::files::Folder;
use super::process::free_address;
use super::wait_until;

/// How a front lets clients in.
pub struct Front {
    /// Parameters of `listen`.
    listen: &'static str,
    /// Directives of the `server` block.
    directives: String,
}

impl Front {
    /// TLS with this certificate and key; with `clients` only for those who show a certificate of that
    /// authority.
    pub fn tls((certificate, key): &(PathBuf, PathBuf), clients: Option<&Path>) -> Self {
        let (certificate, key) = (certificate.display(), key.display());
        let mut directives =
            format!("ssl_certificate {certificate};\nssl_certificate_key {key};\n");
        if let Some(authority) = clients {
            let authority = authority.display();
            directives += &format!("ssl_client_certificate {authority};\nssl_verify_client on;\n");
        }
        Self {
            listen: "ssl",
            directives,
        }
    }

    /// Basic authentication against a file of `htpasswd`'s form, which nginx reads with each request.
    pub fn passwords(file: &Path) -> Self {
        let file = file.display();
        Self {
            listen: "",
            directives: format!("auth_basic masters;\nauth_basic_user_file {file};\n"),
        }
    }
}

pub struct Nginx {
    folder: Folder,
    address: SocketAddr,
    master: SocketAddr,
    child: Child,
}

impl Nginx {
    /// Forwards everything that the front lets in to `master`.
    pub fn start(master: SocketAddr, front: &Front) -> Self {
        // Another test may take the port between the look and the bind.
        for _ in 0..5 {
            let folder = Folder::new();
            let address = free_address();
            let child = launch(&folder, address, master, front);
            let mut nginx = Self {
                folder,
                address,
                master,
                child,
            };
            if nginx.listens() {
                return nginx;
            }
        }
        panic!("nginx does not start");
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends the process and starts another with another front at the same address.
    pub fn restart(&mut self, front: &Front) {
        self.end();
        self.child = launch(&self.folder, self.address, self.master, front);
        assert!(self.listens(), "nginx does not start again");
    }

    fn listens(&mut self) -> bool {
        let mut running = true;
        wait_until("nginx that listens", || {
            running = self.child.try_wait().expect("a child of ours").is_none();
            !running || TcpStream::connect(self.address).is_ok()
        });
        running
    }

    fn end(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        self.end();
        if std::thread::panicking() {
            let log = std::fs::read_to_string(self.folder.join("errors")).unwrap_or_default();
            eprintln!("--- what nginx logged:\n{log}");
        }
    }
}

fn launch(folder: &Folder, address: SocketAddr, master: SocketAddr, front: &Front) -> Child {
    let Front { listen, directives } = front;
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .iter()
        .map(|kind| format!("{kind}_temp_path {kind};\n"))
        .collect();
    let text = format!(
        "daemon off;\nmaster_process off;\npid pid;\nevents {{ worker_connections 256; }}\n\
         http {{\naccess_log off;\n{temporary}\
         server {{\nlisten {address} {listen};\n{directives}location / {{ proxy_pass http://{master}; }}\n}}\n}}\n"
    );
    let settings = folder.write("nginx.conf", text);
    Command::new("nginx")
        .arg("-p")
        .arg(&**folder)
        .arg("-c")
        .arg(settings)
        .arg("-e")
        .arg(folder.join("errors"))
        .env(
            "PATH",
            "/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin",
        )
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("nginx is installed")
}
