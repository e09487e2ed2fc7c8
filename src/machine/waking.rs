//! Noticing that this computer has slept: a connection may have ended meanwhile without a word, which by itself is noticed
//! only when several signs of life were missed.

use super::Line;
use crate::model::far::{Answer, LONGEST_DOCUMENT_BYTES, Request};
use crate::sys::framed::{read_document, write_document};
use std::time::{Duration, Instant, SystemTime};
use tokio::time::{sleep, timeout};

/// Time between two looks. It stands still while this computer sleeps.
const PERIOD: Duration = Duration::from_secs(4);
/// By as much the clocks differ after a sleep; less is a clock that was set right.
const SLEEP: Duration = Duration::from_secs(10);
/// How long the far side may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Returns when this computer slept and the far side does not answer any more, with why.
pub async fn lost_in_sleep(line: &dyn Line) -> String {
    loop {
        let (ran, showed) = (Instant::now(), SystemTime::now());
        sleep(PERIOD).await;
        let passed = SystemTime::now().duration_since(showed).unwrap_or_default();
        if has_slept(ran.elapsed(), passed) && !answers(line, PATIENCE).await {
            return "this computer has slept, and the other side does not answer any more".into();
        }
    }
}

/// Whether somebody slept for whom time went on by `ran` while the clock on the wall went on by `passed`: the first stands
/// still in a sleep (clock_gettime(2), CLOCK_MONOTONIC).
fn has_slept(ran: Duration, passed: Duration) -> bool {
    passed.saturating_sub(ran) > SLEEP
}

async fn answers(line: &dyn Line, patience: Duration) -> bool {
    let asked = async {
        let mut stream = line.open().await.ok()?;
        write_document(&mut stream, &Request::Hello).await.ok()?;
        read_document::<Answer>(&mut stream, LONGEST_DOCUMENT_BYTES).await.ok()
    };
    matches!(timeout(patience, asked).await, Ok(Some(_)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Result;
    use crate::sys::mux::{Accepter, Opener, accept_over, open_over};
    use crate::sys::stream::Stream;
    use futures_util::future::BoxFuture;

    #[test]
    fn a_sleep_is_told_from_a_clock_that_was_set() {
        let seconds = Duration::from_secs;
        for (ran, passed, slept) in [(4, 4, false), (4, 9, false), (4, 604, true), (30, 4, false), (4, 0, false)] {
            assert_eq!(has_slept(seconds(ran), seconds(passed)), slept, "{ran} {passed}");
        }
    }

    struct Over(Opener);

    impl Line for Over {
        fn open(&self) -> BoxFuture<'_, Result<Stream>> {
            Box::pin(async { Ok(Box::new(self.0.open().expect("a stream")) as Stream) })
        }

        fn lost(&self) -> BoxFuture<'_, String> {
            Box::pin(self.0.over())
        }
    }

    fn pair() -> (Over, Accepter) {
        let (near, far) = tokio::io::duplex(4096);
        let ((reads, writes), (far_reads, far_writes)) = (tokio::io::split(near), tokio::io::split(far));
        (Over(open_over(reads, writes)), accept_over(far_reads, far_writes))
    }

    #[tokio::test]
    async fn a_far_side_that_says_nothing_is_lost_and_one_that_answers_is_not() {
        let (line, mut far) = pair();
        assert!(!answers(&line, Duration::from_millis(50)).await);
        let answering = async {
            // The first was given up.
            let _ = far.accept().await;
            let mut stream = far.accept().await.expect("a stream");
            let _: Request = read_document(&mut stream, LONGEST_DOCUMENT_BYTES).await.expect("asked");
            let hello = Answer::Hello { build: "1".into(), architecture: "x86_64".into() };
            write_document(&mut stream, &hello).await.expect("answered");
            std::future::pending::<()>().await;
        };
        tokio::select! {
            answered = answers(&line, Duration::from_secs(20)) => assert!(answered),
            () = answering => {}
        }
    }
}
