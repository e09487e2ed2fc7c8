//! What an agent over there answers.

use crate::sshd::{Sshd, World};
use devenv::machine::Line;
use devenv::machine::remote::Program;
use devenv::model::far::{Answer, LONGEST_DOCUMENT_BYTES, Request};
use devenv::sys::framed::{read_document, write_document};
use devenv::sys::stream::Stream;

pub async fn ask(line: &dyn Line, request: &Request) -> (Answer, Stream) {
    let mut stream = line.open().await.expect("a stream");
    write_document(&mut stream, request).await.expect("asked");
    let answer = read_document(&mut stream, LONGEST_DOCUMENT_BYTES).await.expect("an answer");
    (answer, stream)
}

#[tokio::test]
async fn the_program_is_put_there_once_and_says_hello() {
    let (world, sshd) = (World::get(), Sshd::start());
    let program = [Program::in_file(&world.program, std::env::consts::ARCH).expect("a program")];
    for _ in 0..2 {
        let line = sshd.connect(&program).await.unwrap_or_else(|failure| panic!("{:?}", failure.chain()));
        let (answer, _) = ask(&line, &Request::Hello).await;
        assert!(matches!(answer, Answer::Hello { architecture, .. } if architecture == std::env::consts::ARCH));
        assert!(sshd.place(&program[0]).is_file());
    }
}
