//! What accounts and hosts over there may be like.

use crate::line::ask;
use crate::sshd::{Sshd, World, connect_to, is_root, refused, remote, run, wait_until};
use devenv::machine::Line;
use devenv::machine::remote::{Access, Program, connect};
use devenv::model::event::Unheard;
use devenv::model::far::{Answer, Request};
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

async fn says_hello(line: &dyn Line) {
    let (answer, _) = ask(line, &Request::Hello).await;
    assert!(matches!(answer, Answer::Hello { .. }), "{answer:?}");
}

/// A line to a server whose sessions run `forced` (sshd_config(5), ForceCommand).
async fn reached_through(forced: &str, note: &str) {
    let sshd = Sshd::start_with(&format!("ForceCommand {forced}"), "");
    let line = sshd.connect(&[World::get().stand_in(note)]).await;
    says_hello(&line.unwrap_or_else(|failure| panic!("{forced}: {:?}", failure.chain()))).await;
}

#[tokio::test]
async fn what_start_files_print_is_passed_over() {
    let banner = "printf 'Welcome\\n\\n* 3 updates\\nno end of line'; exec sh -c \"$SSH_ORIGINAL_COMMAND\"";
    reached_through(banner, "banner").await;
    reached_through("head -c 300000 /dev/urandom; exec sh -c \"$SSH_ORIGINAL_COMMAND\"", "noise").await;
}

#[tokio::test]
async fn every_login_shell_will_do() {
    for shell in ["dash", "bash", "zsh", "fish", "csh", "busybox sh"] {
        let name = shell.split(' ').next().expect("a name");
        if Command::new("sh").args(["-c", "command -v \"$0\"", name]).output().is_ok_and(|found| found.status.success())
        {
            reached_through(&format!("exec {shell} -c \"$SSH_ORIGINAL_COMMAND\""), name).await;
        } else {
            assert!(std::env::var_os("CI").is_none(), "{name} is not installed");
            eprintln!("skipped: {name} is not installed");
        }
    }
}

#[tokio::test]
async fn an_account_without_a_shell_says_so() {
    let sshd = Sshd::start_with("ForceCommand /usr/sbin/nologin", "");
    let told = sshd.refused(&[World::get().stand_in("nologin")]).await;
    assert!(told.contains("ended with 1: This account is currently not available."), "{told}");
    let sshd = Sshd::start_with("ForceCommand exec no-such-shell", "");
    let told = sshd.refused(&[World::get().stand_in("noshell")]).await;
    assert!(told.contains("ended with 127:") && told.contains("no-such-shell"), "{told}");
}

#[tokio::test]
async fn a_session_that_breaks_while_the_program_is_put_there_is_told() {
    let sshd = Sshd::start_with("ForceCommand exec sh -c \"$SSH_ORIGINAL_COMMAND\" </dev/null", "");
    let told = sshd.refused(&[World::get().stand_in("cut")]).await;
    assert!(told.contains("broke while devenv's program was put there"), "{told}");
}

#[tokio::test]
async fn a_host_without_gzip_gets_the_program_as_it_is() {
    let bin = World::get().path().join("few");
    fs::create_dir_all(&bin).expect("a folder");
    for tool in ["cat", "chmod", "env", "head", "id", "mkdir", "mv", "rm", "sh", "uname"] {
        let _ = std::os::unix::fs::symlink(Path::new("/bin").join(tool), bin.join(tool));
    }
    reached_through(&format!("PATH={} exec sh -c \"$SSH_ORIGINAL_COMMAND\"", bin.display()), "nogzip").await;
}

#[tokio::test]
async fn another_architecture_is_told() {
    let sshd = Sshd::start();
    let program = Program::in_file(&World::get().program, "riscv64").expect("a program");
    let told = sshd.refused(&[program]).await;
    let here = run(Command::new("uname").arg("-m"));
    assert!(
        told.contains(&format!("it is Linux on {here}; this devenv has its program for Linux on riscv64")),
        "{told}"
    );
}

#[tokio::test]
async fn several_that_put_the_program_there_at_once_do_not_disturb_each_other() {
    let (sshd, program) = (Sshd::start(), [World::get().stand_in("several")]);
    let lines = futures_util::future::join_all((0..8).map(|_| sshd.connect(&program))).await;
    for line in lines {
        says_hello(&line.expect("a line")).await;
    }
    let place = sshd.place(&program[0]);
    let left: Vec<_> = fs::read_dir(place.parent().expect("a folder")).expect("listed").flatten().collect();
    assert_eq!(left.iter().map(|entry| entry.file_name()).collect::<Vec<_>>(), ["devenv"]);
}

#[tokio::test]
async fn programs_that_nobody_used_for_long_are_removed() {
    let (world, sshd) = (World::get(), Sshd::start());
    let all = sshd.folder.join("cache/devenv/bin");
    for (name, age) in
        [("a".repeat(64), "100 days ago"), ("b".repeat(64), "yesterday"), ("mine".into(), "100 days ago")]
    {
        let folder = all.join(name).display().to_string();
        run(&mut world.as_user(&["mkdir", "-p", &folder]));
        run(&mut world.as_user(&["touch", "-d", age, &folder]));
    }
    let program = Program::in_file(&world.program, std::env::consts::ARCH).expect("a program");
    let _line = sshd.connect(std::slice::from_ref(&program)).await.expect("a line");
    wait_until("the old one is gone", || !all.join("a".repeat(64)).exists());
    assert!(all.join("b".repeat(64)).exists() && all.join("mine").exists() && sshd.place(&program).exists());
}

/// A memory file system, unmounted on drop.
struct Mounted(String);

impl Mounted {
    fn at(path: &Path, options: &str) -> Mounted {
        let path = path.display().to_string();
        run(Command::new("mount").args(["-t", "tmpfs", "-o", options, "tmpfs", &path]));
        Mounted(path)
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").args(["-l", &self.0]).status();
    }
}

#[tokio::test]
async fn where_programs_may_not_run_another_folder_is_taken() {
    if !is_root() {
        eprintln!("skipped: only root can mount");
        return;
    }
    let (world, sshd) = (World::get(), Sshd::start());
    let _mounted = Mounted::at(&sshd.folder.join("cache"), "noexec,mode=777");
    let program = world.stand_in("noexec");
    for _ in 0..2 {
        let line = sshd.connect(std::slice::from_ref(&program)).await;
        says_hello(&line.unwrap_or_else(|failure| panic!("{:?}", failure.chain()))).await;
    }
    assert!(sshd.folder.join("runtime/devenv/bin").join(&program.hash).join("devenv").is_file());
}

#[tokio::test]
async fn where_there_is_no_place_each_reason_is_told() {
    if !is_root() {
        eprintln!("skipped: only root can mount");
        return;
    }
    let (world, sshd) = (World::get(), Sshd::start());
    let _full = Mounted::at(&sshd.folder.join("cache"), "size=64k,mode=777");
    let _noexec = Mounted::at(&sshd.folder.join("runtime"), "noexec,mode=777");
    // Somebody else was there first.
    let user = run(Command::new("id").args(["-u", &world.user]));
    let taken = ["/var/tmp", "/dev/shm"].map(|folder| format!("{folder}/devenv-{user}"));
    for folder in &taken {
        run(Command::new("mkdir").args(["-p", "-m", "777", folder]));
    }
    let program = Program::in_file(&world.program, std::env::consts::ARCH).expect("a program");
    let told = sshd.refused(&[program]).await;
    for folder in &taken {
        let _ = fs::remove_dir_all(folder);
    }
    for reason in ["No space left on device", "no programs may run there (noexec)", "it belongs to somebody else"] {
        assert!(told.contains(reason), "{told}");
    }
    assert!(told.contains("found no place for devenv's program") && told.contains("hint: it needs a folder"), "{told}");
}

#[tokio::test]
async fn hosts_that_cannot_be_reached_are_told_in_ssh_s_own_words() {
    let program = [World::get().stand_in("unreached")];
    let told = refused(&remote("no-such-host.invalid"), &program).await;
    assert!(told.contains("Could not resolve hostname") && told.contains("hint: check the name"), "{told}");

    let sshd = Sshd::start();
    fs::remove_file(sshd.folder.join("known_hosts")).expect("removed");
    let told = sshd.refused(&program).await;
    assert!(
        told.contains("Host key verification failed") && told.contains("hint: the host is not known yet"),
        "{told}"
    );

    let other = fs::read_to_string(World::get().path().join("key.pub")).expect("another key");
    fs::write(sshd.folder.join("known_hosts"), format!("[127.0.0.1]:{} {other}", sshd.port)).expect("a file");
    let told = sshd.refused(&program).await;
    assert!(told.contains("REMOTE HOST IDENTIFICATION HAS CHANGED") && told.contains("ssh-keygen -R"), "{told}");

    let name = sshd.name.clone();
    drop(sshd);
    let told = refused(&remote(&name), &program).await;
    assert!(told.contains("Connection refused") && told.contains("hint: is sshd running there"), "{told}");

    let locked = Sshd::start_with(&format!("DenyUsers {}", World::get().user), "");
    let told = locked.refused(&program).await;
    assert!(told.contains("Permission denied (") && told.contains("hint: `devenv up` at a terminal asks"), "{told}");
}

#[tokio::test]
async fn somebody_at_the_terminal_is_asked_once_and_those_who_come_later_need_not_ask() {
    // Nothing is remembered: who is not asked, and does not share the connection, is refused.
    let sshd = Sshd::start_with("", "UserKnownHostsFile /dev/null");
    let (world, remote) = (World::get(), sshd.remote());
    // The configuration's first word counts, so the line above stands behind ours.
    let hosts = world.path().join("hosts").join(&sshd.name);
    let text = fs::read_to_string(&hosts).expect("the client's configuration");
    let known = format!("  UserKnownHostsFile {}/known_hosts\n", sshd.folder.display());
    fs::write(&hosts, text.replace(&known, "")).expect("a file");
    let program = [world.stand_in("asked")];
    let told = sshd.refused(&program).await;
    assert!(told.contains("Host key verification failed"), "{told}");
    let sockets = world.path().join("asked-sockets");
    for attended in [true, false] {
        let programs = program.to_vec();
        let programs = Arc::new(move || Ok(programs.clone()));
        let access = Access { sockets: &sockets, attended, programs, events: &Unheard };
        let line = connect(&remote, &access).await;
        says_hello(&line.unwrap_or_else(|failure| panic!("{attended}: {:?}", failure.chain()))).await;
    }
    let socket = fs::read_dir(&sockets).expect("listed").flatten().next().expect("a socket").path();
    run(Command::new("ssh").arg("-S").arg(&socket).args(["-O", "exit", &sshd.name]));
}

#[tokio::test]
async fn the_user_s_jump_host_is_used() {
    let jump = Sshd::start();
    let sshd = Sshd::start_with("", &format!("ProxyJump {}", jump.name));
    let line = sshd.connect(&[World::get().stand_in("jump")]).await.expect("a line");
    says_hello(&line).await;
}

#[tokio::test]
async fn a_line_whose_agent_is_killed_is_lost_and_the_next_one_works() {
    let (world, sshd) = (World::get(), Sshd::start());
    let program = [Program::in_file(&world.program, std::env::consts::ARCH).expect("a program")];
    let line = sshd.connect(&program).await.expect("a line");
    says_hello(&line).await;
    let place = sshd.place(&program[0]);
    let runs_it = |pid: &String| fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|exe| exe == place);
    let processes = fs::read_dir("/proc").expect("listed").flatten();
    let pids = processes.map(|entry| entry.file_name().to_string_lossy().into_owned()).filter(runs_it);
    for pid in pids.collect::<Vec<_>>() {
        run(Command::new("kill").args(["-9", &pid]));
    }
    let why = timeout(Duration::from_secs(20), line.lost()).await.expect("in time");
    assert!(why.contains("the other side has ended"), "{why}");
    assert!(line.open().await.is_err());
    says_hello(&connect_to(&sshd.remote(), &program).await.expect("another line")).await;
}

#[tokio::test]
async fn a_connection_is_kept_until_the_configuration_changes_and_where_the_user_wants_it_so() {
    let world = World::get();
    let program = [world.stand_in("kept")];
    for (client, keeps) in [("", true), ("ControlPath /var/empty/devenv", false)] {
        let sshd = Sshd::start_with("", client);
        drop(sshd.connect(&program).await.expect("a line"));
        // Who connects anew is refused.
        fs::remove_file(sshd.folder.join("known_hosts")).expect("removed");
        if keeps {
            says_hello(&sshd.connect(&program).await.expect("over the kept connection")).await;
            let hosts = world.path().join("hosts").join(&sshd.name);
            let text = fs::read_to_string(&hosts).expect("the client's configuration");
            fs::write(&hosts, format!("{text}  ServerAliveCountMax 2\n")).expect("a file");
        }
        let told = sshd.refused(&program).await;
        assert!(told.contains("Host key verification failed"), "{client}: {told}");
    }
}
