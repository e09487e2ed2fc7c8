use std::process::ExitCode;

fn main() -> ExitCode {
    if devenv::sys::environment::arguments().first().is_some_and(|first| first == "__keeper") {
        return devenv::keeper::main();
    }
    ExitCode::SUCCESS
}
