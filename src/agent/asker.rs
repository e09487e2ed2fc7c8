//! A verb's questions to its caller, over the socket on which it reports.

use super::child::Report;
use crate::model::frame::{FromFar, HEADER_BYTES, ToFar};
use crate::model::supply::{Credentials, Given, Question, Supply};
use crate::model::{Failure, Result, Trying};
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// Asks one thing at a time, whichever thread wants to know.
#[derive(Debug)]
pub struct Asker {
    report: Arc<Report>,
    answers: Mutex<File>,
}

impl Asker {
    /// Hears the answers on `answers`.
    pub fn new(report: Arc<Report>, answers: File) -> Asker {
        Asker { report, answers: Mutex::new(answers) }
    }

    fn ask(&self, question: Question) -> Result<ToFar> {
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        self.report.send(&FromFar::Question(question));
        let answer = read(&mut *answers).trying(|| "whoever called has gone")?;
        match answer {
            ToFar::Given(Given::Failed(told)) => Err(told.into()),
            answer => Ok(answer),
        }
    }
}

fn read(answers: &mut impl Read) -> std::io::Result<ToFar> {
    let mut header = [0; HEADER_BYTES];
    answers.read_exact(&mut header)?;
    let [what, length @ ..] = header;
    let length = u32::from_be_bytes(length) as usize;
    if ToFar::longest(what).is_none_or(|longest| length > longest) {
        return Err(std::io::Error::other("the caller's answer makes no sense"));
    }
    let mut content = vec![0; length];
    answers.read_exact(&mut content)?;
    ToFar::decode(what, content).map_err(std::io::Error::other)
}

impl Supply for Asker {
    fn credentials(&self, account: &str, repository: &str) -> Result<Option<Credentials>> {
        let (account, repository) = (account.to_owned(), repository.to_owned());
        match self.ask(Question::Credentials { account, repository })? {
            ToFar::Given(Given::Credentials { found }) => Ok(found),
            _ => Err(confused()),
        }
    }

    fn length(&self, image: &Path, file: Option<&str>) -> Result<Option<u64>> {
        let (image, file) = (image.to_owned(), file.map(str::to_owned));
        match self.ask(Question::Length { image, file })? {
            ToFar::Given(Given::Length { bytes }) => Ok(bytes),
            _ => Err(confused()),
        }
    }

    fn piece(&self, image: &Path, file: Option<&str>, at: u64, length: usize) -> Result<Vec<u8>> {
        let (image, file) = (image.to_owned(), file.map(str::to_owned));
        let length = u32::try_from(length).unwrap_or(u32::MAX);
        match self.ask(Question::Piece { image, file, at, length })? {
            ToFar::Piece(bytes) => Ok(bytes),
            _ => Err(confused()),
        }
    }
}

fn confused() -> Failure {
    Failure::new("the caller answered something else than it was asked")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::frame::header;

    #[test]
    fn answers_are_read_whole_and_only_as_long_as_they_may_be() {
        let (what, content) = ToFar::Piece(vec![5; 3]).encode();
        let bytes = [&header(what, content.len())[..], &content].concat();
        assert_eq!(read(&mut &bytes[..]).unwrap(), ToFar::Piece(vec![5; 3]));
        assert!(read(&mut &bytes[..bytes.len() - 1]).is_err());
        assert!(read(&mut &header(b'b', usize::MAX)[..]).is_err());
        assert!(read(&mut &header(b'?', 0)[..]).is_err());
    }
}
