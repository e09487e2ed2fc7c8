//! Not a test: measures a tunnel beside `ssh -L`.

use crate::line::{Running, publish_one};
use crate::sshd::{Sshd, World, run};
use devenv::machine::remote::Program;
use std::process::{Command, Stdio};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "measures"]
async fn measure() {
    let (world, sshd) = (World::get(), Sshd::start());
    let stream = std::env::var("STREAM").expect("STREAM");
    let running =
        Running::up_with(&sshd, &format!("image = \"host\"\ncommand = [\"{stream}\", \"serve\", \"9000\"]\n"));
    let program = [Program::in_file(&world.program, std::env::consts::ARCH).expect("a program")];
    let line = std::sync::Arc::new(sshd.connect(&program).await.expect("a line"));
    let (port, _publisher) = publish_one(line, &running, 9000).await;
    let mut direct = Command::new(&stream).args(["serve", "19400"]).spawn().expect("a server");
    let forward = |port: u16, cipher: &[&str]| {
        let mut command = Command::new("ssh");
        command.args(["-N", "-L"]).arg(format!("127.0.0.1:{port}:127.0.0.1:19400")).args(cipher).arg(&sshd.name);
        command.stdin(Stdio::null()).spawn().expect("ssh")
    };
    let mut ssh = [forward(19401, &[]), forward(19402, &["-c", "aes128-gcm@openssh.com"])];
    let subjects = [("direct", 19400), ("devenv", port), ("ssh -L", 19401), ("ssh -L gcm", 19402)];
    for (_, port) in subjects {
        crate::sshd::wait_until("it listens", || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
    }
    let rounds: usize = std::env::var("ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(5);
    let mut got = std::collections::BTreeMap::<_, Vec<f64>>::new();
    for _ in 0..rounds {
        for (kind, amount) in [("up", "1"), ("down", "1"), ("connect", "300")] {
            for (name, port) in subjects {
                let (stream, port) = (stream.clone(), port.to_string());
                let said = tokio::task::spawn_blocking(move || {
                    run(Command::new(stream).args([kind, "127.0.0.1", &port, amount]))
                });
                got.entry((name, kind)).or_default().push(said.await.expect("run").parse().expect("a number"));
            }
        }
    }
    for ((name, kind), values) in &mut got {
        values.sort_by(f64::total_cmp);
        println!("{name:12} {kind:8} {:.2}", values[values.len() / 2]);
    }
    for child in &mut ssh {
        let _ = child.kill();
        let _ = child.wait();
    }
    let _ = direct.kill();
    let _ = direct.wait();
}
