//! The verbs carried out on this kernel.

use super::Context;
use crate::model::request::{EnterRequest, LogsRequest, UpReply, UpRequest};
use crate::model::status::{Finding, ImageListed, ProjectListed, Status};
use crate::model::{BoxName, Failure, Result};
use std::path::PathBuf;

fn later<T>() -> Result<T> {
    Err(Failure::new("not built yet"))
}

pub fn up(_: &Context, _: &UpRequest) -> Result<UpReply> {
    later()
}

pub fn enter(_: &Context, _: &EnterRequest, _shell: bool) -> Result<i32> {
    later()
}

pub fn status(_: &Context) -> Result<Status> {
    later()
}

pub fn logs(_: &Context, _: &LogsRequest, _: &mut dyn std::io::Write) -> Result<()> {
    later()
}

pub fn list(_: &Context) -> Result<Vec<ProjectListed>> {
    later()
}

pub fn stop(_: &Context, _: Option<&BoxName>) -> Result<()> {
    later()
}

pub fn start(_: &Context, _: Option<&BoxName>) -> Result<()> {
    later()
}

pub fn restart(_: &Context, _: Option<&BoxName>) -> Result<()> {
    later()
}

pub fn down(_: &Context, _volumes: bool) -> Result<()> {
    later()
}

pub fn image_list(_: &Context) -> Result<Vec<ImageListed>> {
    later()
}

pub fn image_pull(_: &Context, _: &str) -> Result<ImageListed> {
    later()
}

pub fn image_remove(_: &Context, _: &[String]) -> Result<()> {
    later()
}

pub fn image_prune(_: &Context) -> Result<u64> {
    later()
}

pub fn image_import(_: &Context, _source: &str, _name: Option<&str>) -> Result<ImageListed> {
    later()
}

pub fn doctor(_: &Context) -> Result<Vec<Finding>> {
    later()
}

pub fn clone(_: &Context, _url: &str, _branch: Option<&str>) -> Result<PathBuf> {
    later()
}
