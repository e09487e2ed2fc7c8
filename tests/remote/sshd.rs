//! An sshd on loopback with keys, configuration and an account's folders of its own, and a client that knows it.

use devenv::machine::remote::{Access, Program, RemoteLine, connect};
use devenv::model::event::Unheard;
use devenv::model::{Place, RemoteHost, Result};
use std::fs;
use std::net::TcpStream;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

/// The account that is logged in to, where this is root; otherwise our own.
const USER: &str = "devenv-remote-test";

/// What all servers share: the account, the client's key, and an `ssh` in PATH that reads the tests' configuration.
pub struct World {
    folder: tempfile::TempDir,
    pub user: String,
    pub program: PathBuf,
}

static WORLD: LazyLock<World> = LazyLock::new(World::new);
static NEXT: AtomicU16 = AtomicU16::new(0);

pub fn is_root() -> bool {
    fs::metadata("/proc/self").expect("/proc").uid() == 0
}

pub fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// Waits for `condition` up to 20 seconds.
pub fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

impl World {
    pub fn get() -> &'static World {
        &WORLD
    }

    fn new() -> World {
        let folder = tempfile::tempdir().expect("a folder");
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("open the folder");
        let user = if is_root() {
            // Exit code 9: the user exists (useradd(8)).
            let made = Command::new("useradd").args(["--create-home", USER]).status().expect("useradd").code();
            assert!(matches!(made, Some(0 | 9)), "useradd {USER}: {made:?}");
            // Without a password, but not locked: sshd lets nobody into a locked account.
            run(Command::new("usermod").args(["-p", "*", USER]));
            fs::create_dir_all("/run/sshd").expect("sshd's empty folder");
            USER.to_owned()
        } else {
            run(Command::new("id").arg("-un"))
        };
        let path = folder.path();
        run(Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(path.join("key")));
        fs::create_dir_all(path.join("bin")).expect("a folder");
        fs::create_dir_all(path.join("hosts")).expect("a folder");
        fs::write(path.join("config"), format!("Include {}/hosts/*\n", path.display())).expect("a file");
        let ssh = path.join("bin/ssh");
        fs::write(
            &ssh,
            format!(
                "#!/bin/sh\nSSH_ASKPASS={0}/answer SSH_ASKPASS_REQUIRE=force exec /usr/bin/ssh -F {0}/config \"$@\"\n",
                path.display()
            ),
        )
        .expect("a file");
        // Where somebody may be asked, the answer is yes.
        fs::write(path.join("answer"), "#!/bin/sh\necho yes\n").expect("a file");
        fs::set_permissions(path.join("answer"), fs::Permissions::from_mode(0o755)).expect("its mode");
        fs::set_permissions(&ssh, fs::Permissions::from_mode(0o755)).expect("its mode");
        let program = path.join("devenv");
        fs::copy(env!("CARGO_BIN_EXE_devenv"), &program).expect("copy the program");
        let search = format!("{}:{}", path.join("bin").display(), std::env::var("PATH").expect("PATH"));
        // SAFETY: every test comes here before it starts a thread that looks at the environment.
        unsafe { std::env::set_var("PATH", search) };
        World { folder, user, program }
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Words that run a command as the account's user.
    pub fn as_user(&self, words: &[&str]) -> Command {
        let mut command = Command::new(if is_root() { "runuser" } else { "env" });
        if is_root() {
            command.args(["-u", &self.user, "--"]);
        }
        command.args(words).current_dir("/");
        command
    }

    /// A small program that stands for ours: it is put there in no time, and runs the real one.
    pub fn stand_in(&self, note: &str) -> Program {
        let path = self.path().join(format!("stand-in-{note}"));
        fs::write(&path, format!("#!/bin/sh\n# {note}\nexec {} \"$@\"\n", self.program.display())).expect("a file");
        Program::in_file(&path, std::env::consts::ARCH).expect("a program")
    }
}

/// A server, ended on drop.
pub struct Sshd {
    child: Child,
    pub name: String,
    pub port: u16,
    /// The account's folders: `cache`, `runtime`, `home`.
    pub folder: PathBuf,
}

impl Sshd {
    pub fn start() -> Sshd {
        Sshd::start_with("", "")
    }

    /// With further lines of the server's configuration (sshd_config(5)) and the client's (ssh_config(5)).
    pub fn start_with(server: &str, client: &str) -> Sshd {
        let world = World::get();
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("host{number}");
        let folder = world.path().join(&name);
        for part in ["", "cache", "runtime", "state"] {
            fs::create_dir_all(folder.join(part)).expect("a folder");
            run(Command::new("chown").arg(&world.user).arg(folder.join(part)));
        }
        let at = folder.display();
        run(Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(folder.join("host")));
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("its number").port();
        drop(listener);
        let config = format!(
            "Port {port}\nListenAddress 127.0.0.1\nHostKey {at}/host\nAuthorizedKeysFile {key}.pub\nStrictModes no\n\
             UsePAM no\nPidFile none\nPasswordAuthentication no\nPrintMotd no\nMaxStartups 100\n\
             SetEnv XDG_CACHE_HOME={at}/cache XDG_RUNTIME_DIR={at}/runtime DEVENV_HOME={at}/state\n{server}\n",
            key = world.path().join("key").display()
        );
        fs::write(folder.join("sshd_config"), config).expect("a file");
        let log = fs::File::create(folder.join("sshd.log")).expect("a log");
        let child = Command::new("/usr/sbin/sshd")
            .args(["-D", "-e", "-f"])
            .arg(folder.join("sshd_config"))
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a log"))
            .stderr(log)
            .spawn()
            .expect("sshd: install openssh-server");
        let sshd = Sshd { child, name, port, folder };
        sshd.trust();
        let config = format!(
            "Host {}\n  HostName 127.0.0.1\n  Port {port}\n  User {}\n  IdentityFile {}\n  IdentitiesOnly yes\n  \
             UserKnownHostsFile {at}/known_hosts\n  GlobalKnownHostsFile none\n  {client}\n",
            sshd.name,
            world.user,
            world.path().join("key").display(),
            at = sshd.folder.display()
        );
        // Read in one piece by an ssh that starts meanwhile.
        fs::write(sshd.folder.join("client"), config).expect("a file");
        fs::rename(sshd.folder.join("client"), world.path().join("hosts").join(&sshd.name)).expect("a name");
        wait_until("sshd listens", || TcpStream::connect(("127.0.0.1", port)).is_ok());
        sshd
    }

    /// Has the client know the server's key.
    pub fn trust(&self) {
        let key = fs::read_to_string(self.folder.join("host.pub")).expect("the key");
        fs::write(self.folder.join("known_hosts"), format!("[127.0.0.1]:{} {key}", self.port)).expect("a file");
    }

    pub fn remote(&self) -> RemoteHost {
        remote(&self.name)
    }

    pub async fn connect(&self, programs: &[Program]) -> Result<RemoteLine> {
        connect_to(&self.remote(), programs).await
    }

    /// What a connection that cannot be made tells: every cause, and the hint.
    pub async fn refused(&self, programs: &[Program]) -> String {
        refused(&self.remote(), programs).await
    }

    /// Where a program is put first.
    pub fn place(&self, program: &Program) -> PathBuf {
        self.folder.join("cache/devenv/bin").join(&program.hash).join("devenv")
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        // Its sessions, and with them the connections that clients keep.
        let _ = Command::new("pkill").args(["-P", &self.child.id().to_string()]).status();
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn remote(name: &str) -> RemoteHost {
    match Place::parse(&format!("ssh://{name}")) {
        Ok(Place::Ssh(remote)) => remote,
        other => panic!("{other:?}"),
    }
}

pub async fn connect_to(remote: &RemoteHost, programs: &[Program]) -> Result<RemoteLine> {
    let sockets = World::get().path().join("sockets");
    let programs = programs.to_vec();
    let programs = Arc::new(move || Ok(programs.clone()));
    connect(remote, &Access { sockets: &sockets, attended: false, programs, events: &Unheard }).await
}

pub async fn refused(remote: &RemoteHost, programs: &[Program]) -> String {
    let Err(failure) = connect_to(remote, programs).await else { panic!("{remote} was reached") };
    let hint = failure.get_hint().unwrap_or_default().to_owned();
    format!("{}\nhint: {hint}", failure.chain().join(": "))
}
