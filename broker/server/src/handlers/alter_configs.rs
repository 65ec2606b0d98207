//! IncrementalAlterConfigs and AlterConfigs: settings of topics and of the whole cluster, changed while everything runs.

use std::sync::Arc;

use host::Host;
use protocol::messages::alter_configs_response::AlterConfigsResourceResponse;
use protocol::messages::incremental_alter_configs_request::AlterableConfig;
use protocol::messages::incremental_alter_configs_response::AlterConfigsResourceResponse as IncrementalResourceResponse;
use protocol::messages::{
    AlterConfigsRequest, AlterConfigsResponse, IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse,
    StrBytes, string,
};
use protocol::{ErrorCode, NO_ERROR, Response};
use roles::controller::{AlterConfigs, Command, ConfigChanges, ConfigOperation, ConfigResource, Refusal, Reply};

use super::config_resource::resource;
use super::decided::decide;
use crate::errors::controller_code;
use crate::node::Node;
use crate::router::Answer;

/// What forwarded requests are spoken in.
const INCREMENTAL_VERSION: i16 = 1;
const WHOLE_VERSION: i16 = 2;

/// One resource of a request: as the wire names it, and what is to become of it, or why nothing can.
struct Asked {
    kind: i8,
    name: StrBytes,
    change: Result<(ConfigResource, ConfigChanges), (i16, String)>,
}

/// What became of one: type, name, error code, message.
type Outcome = (i8, StrBytes, i16, Option<StrBytes>);

pub(crate) fn handle_incremental<H: Host>(node: &Arc<Node<H>>, request: IncrementalAlterConfigsRequest) -> Answer {
    let node = node.clone();
    Answer::later(async move {
        let asked = request.resources.iter().map(|asked| Asked {
            kind: asked.resource_type,
            name: asked.resource_name.clone(),
            change: resource(asked.resource_type, &asked.resource_name)
                .and_then(|resource| Ok((resource, ConfigChanges::Single(operations(&asked.configs)?)))),
        });
        let asked: Vec<Asked> = asked.collect();
        let command = command(&asked, request.validate_only);
        let decided = decide(&node, INCREMENTAL_VERSION, &request, command, |reply| {
            Some(incremental_response(outcomes(&asked, reply)?))
        });
        Response::IncrementalAlterConfigs(match decided.await {
            Ok(response) => response,
            Err(undecided) => incremental_response(refuse_all(&asked, undecided.code, &undecided.message)),
        })
    })
}

pub(crate) fn handle_whole<H: Host>(node: &Arc<Node<H>>, request: AlterConfigsRequest) -> Answer {
    let node = node.clone();
    Answer::later(async move {
        let asked = request.resources.iter().map(|asked| {
            let configs = asked.configs.iter();
            let settings =
                configs.map(|config| (config.name.to_string(), config.value.as_ref().map(ToString::to_string)));
            Asked {
                kind: asked.resource_type,
                name: asked.resource_name.clone(),
                change: resource(asked.resource_type, &asked.resource_name)
                    .map(|resource| (resource, ConfigChanges::Whole(settings.collect()))),
            }
        });
        let asked: Vec<Asked> = asked.collect();
        let command = command(&asked, request.validate_only);
        let decided =
            decide(&node, WHOLE_VERSION, &request, command, |reply| Some(whole_response(outcomes(&asked, reply)?)));
        Response::AlterConfigs(match decided.await {
            Ok(response) => response,
            Err(undecided) => whole_response(refuse_all(&asked, undecided.code, &undecided.message)),
        })
    })
}

fn operations(configs: &[AlterableConfig]) -> Result<Vec<(String, ConfigOperation)>, (i16, String)> {
    let operation = |config: &AlterableConfig| {
        let value = || {
            let value = config.value.as_ref().map(ToString::to_string);
            value.ok_or_else(|| (ErrorCode::InvalidRequest.code(), format!("\"{}\" has no value", config.name)))
        };
        let operation = match config.config_operation {
            0 => ConfigOperation::Set(value()?),
            1 => ConfigOperation::Delete,
            2 => ConfigOperation::Append(value()?),
            3 => ConfigOperation::Subtract(value()?),
            other => {
                let message = format!("operation {other} is none: 0 sets, 1 deletes, 2 appends, 3 subtracts");
                return Err((ErrorCode::InvalidRequest.code(), message));
            }
        };
        Ok((config.name.to_string(), operation))
    };
    configs.iter().map(operation).collect()
}

/// What the controller is to decide: of that which can be understood.
fn command(asked: &[Asked], validate_only: bool) -> Command {
    let resources = asked.iter().filter_map(|asked| asked.change.as_ref().ok().cloned()).collect();
    Command::AlterConfigs(AlterConfigs { resources, validate_only })
}

fn outcomes(asked: &[Asked], reply: Reply) -> Option<Vec<Outcome>> {
    let Reply::ConfigsAltered(results) = reply else { return None };
    let mut results = results.into_iter();
    let outcome = |asked: &Asked| {
        let (code, message) = match &asked.change {
            Ok(_) => results.next()?.map_or_else(refused, |()| (NO_ERROR, None)),
            Err((code, message)) => (*code, Some(string(message))),
        };
        Some((asked.kind, asked.name.clone(), code, message))
    };
    asked.iter().map(outcome).collect()
}

fn refused(refusal: Refusal) -> (i16, Option<StrBytes>) {
    (controller_code(&refusal), Some(string(&refusal.to_string())))
}

fn refuse_all(asked: &[Asked], code: i16, message: &str) -> Vec<Outcome> {
    asked.iter().map(|asked| (asked.kind, asked.name.clone(), code, Some(string(message)))).collect()
}

fn incremental_response(outcomes: Vec<Outcome>) -> IncrementalAlterConfigsResponse {
    let response = |(kind, name, code, message): Outcome| {
        IncrementalResourceResponse::default()
            .with_resource_type(kind)
            .with_resource_name(name)
            .with_error_code(code)
            .with_error_message(message)
    };
    IncrementalAlterConfigsResponse::default().with_responses(outcomes.into_iter().map(response).collect())
}

fn whole_response(outcomes: Vec<Outcome>) -> AlterConfigsResponse {
    let response = |(kind, name, code, message): Outcome| {
        AlterConfigsResourceResponse::default()
            .with_resource_type(kind)
            .with_resource_name(name)
            .with_error_code(code)
            .with_error_message(message)
    };
    AlterConfigsResponse::default().with_responses(outcomes.into_iter().map(response).collect())
}
