//! Both ends of a sync session as one small program, for benchmarks and for the torture.
//!
//!   sync_ends far ROOT STATE               serves a tree on its standard input and output
//!   sync_ends host ROOT STATE COMMAND...   starts a session whose stream is COMMAND's standard input and output
//!
//! The host prints `ready MILLISECONDS` when both sides are equal, then answers lines of its input: `flush` with
//! `flushed MILLISECONDS`, `status` with JSON, and `quit`.

use devenv::model::event::Unheard;
use devenv::model::sync::SyncDirection;
use devenv::model::{Failure, Result, Trying};
use devenv::sync::{Opener, Session, SessionStart, far};
use devenv::sys::linux::pipe::take_input_and_output;
use devenv::sys::pipe_room;
use devenv::sys::stream::Stream;
use std::path::PathBuf;
use std::process::{ExitCode, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Instant;
use tokio::io::{AsyncBufReadExt, BufReader, join, stdin};
use tokio::net::unix::pipe::{Receiver, Sender};
use tokio::process::{Child, Command};

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let went = match words.first().map(String::as_str) {
        Some("far") if words.len() == 3 => runtime.block_on(serve(&words[1], &words[2])),
        Some("host") if words.len() > 3 => runtime.block_on(host(&words[1], &words[2], &words[3..])),
        _ => Err(Failure::new("usage: sync_ends far ROOT STATE | host ROOT STATE COMMAND...")),
    };
    // A read of the standard input may still be waiting.
    runtime.shutdown_background();
    match went {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{}", failure.chain().join(": "));
            ExitCode::FAILURE
        }
    }
}

async fn serve(root: &str, state: &str) -> Result<()> {
    let (input, output) = take_input_and_output()?;
    let (input, output) = (Receiver::from_owned_fd_unchecked(input), Sender::from_owned_fd_unchecked(output));
    let what = || "standard input and output are not those of an SSH session";
    let stream: Stream = Box::new(join(input.trying(what)?, output.trying(what)?));
    far::serve(stream, root.into(), state.into(), None).await
}

async fn host(root: &str, state: &str, command: &[String]) -> Result<()> {
    let began = Instant::now();
    let children: Arc<Mutex<Vec<Child>>> = Arc::default();
    let command = command.to_vec();
    let open: Opener = Arc::new(move || {
        let (command, children) = (command.clone(), children.clone());
        Box::pin(async move {
            let mut child = Command::new(&command[0])
                .args(&command[1..])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .kill_on_drop(true)
                .spawn()
                .trying(|| format!("cannot start {}", command[0]))?;
            let (input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
            pipe_room::enlarge(&input);
            pipe_room::enlarge(&output);
            let mut children = children.lock().unwrap();
            children.clear();
            children.push(child);
            Ok(Box::new(join(output, input)) as Stream)
        })
    });
    let start = SessionStart {
        root: PathBuf::from(root),
        state: state.into(),
        mode: SyncDirection::TwoWay,
        ignore: Vec::new(),
        events: Arc::new(Unheard),
    };
    let session = Session::start(start, open);
    session.flush().await?;
    println!("ready {}", began.elapsed().as_millis());
    let mut lines = BufReader::new(stdin()).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        match line.as_str() {
            "flush" => {
                let began = Instant::now();
                session.flush().await?;
                println!("flushed {}", began.elapsed().as_millis());
            }
            "status" => println!("{}", serde_json::to_string(&session.status().await).unwrap()),
            "resume" => session.resume(),
            _ => break,
        }
    }
    session.stop().await;
    Ok(())
}
