use std::process::ExitCode;

fn main() -> ExitCode {
    if devenv::sys::environment::arguments().first().is_some_and(|first| first == devenv::ops::here::keeper::ENTRY) {
        return devenv::keeper::main();
    }
    ExitCode::SUCCESS
}
