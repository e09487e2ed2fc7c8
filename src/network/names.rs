//! What a name server of one project knows itself: its boxes, forward and backward. Pure.

use hickory_proto::op::{Message, MessageType, OpCode, ResponseCode};
use hickory_proto::rr::rdata::{A, PTR};
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use super::address::Subnet;
use crate::model::BoxName;

/// Seconds an answer may be kept: boxes come and go.
const LIFETIME_S: u32 = 5;

/// The boxes of a project by name.
#[derive(Debug, Clone)]
pub struct Names {
    pub subnet: Subnet,
    pub boxes: BTreeMap<BoxName, Ipv4Addr>,
}

/// What to do with a question.
#[derive(Debug)]
pub enum Verdict {
    /// It is about this project.
    Answer(Box<Message>),
    /// Somebody else knows.
    Forward,
}

impl Names {
    /// Answers `question` if it is about this project. Names are compared without case, with or without the last dot.
    pub fn answer(&self, question: &Message) -> Verdict {
        let [query] = question.queries.as_slice() else { return Verdict::Forward };
        let asks = question.metadata.op_code == OpCode::Query && query.query_class == DNSClass::IN;
        if !asks {
            return Verdict::Forward;
        }
        if let Some(address) = self.find(&query.name) {
            let known = matches!(query.query_type, RecordType::A | RecordType::ANY);
            let data = known.then_some(RData::A(A(address)));
            return respond(question, ResponseCode::NoError, data);
        }
        let Some(address) = reversed_address(&query.name).filter(|address| self.subnet.contains(*address)) else {
            return Verdict::Forward;
        };
        let owner = self.boxes.iter().find(|(_, owned)| **owned == address).map(|(name, _)| name);
        let Some(name) = owner.and_then(|name| Name::from_ascii(format!("{name}.")).ok()) else {
            return respond(question, ResponseCode::NXDomain, None);
        };
        let known = matches!(query.query_type, RecordType::PTR | RecordType::ANY);
        respond(question, ResponseCode::NoError, known.then_some(RData::PTR(PTR(name))))
    }

    fn find(&self, name: &Name) -> Option<Ipv4Addr> {
        if name.num_labels() != 1 {
            return None;
        }
        let label = String::from_utf8_lossy(name.iter().next()?).to_ascii_lowercase();
        self.boxes.get(&BoxName::new(label).ok()?).copied()
    }
}

/// The address a name below in-addr.arpa is about (RFC 1035, section 3.5).
fn reversed_address(name: &Name) -> Option<Ipv4Addr> {
    let network = name.parse_arpa_name().ok()?;
    match network.addr() {
        IpAddr::V4(address) if network.prefix_len() == 32 => Some(address),
        _ => None,
    }
}

fn respond(question: &Message, code: ResponseCode, data: Option<RData>) -> Verdict {
    let mut response = start_response(question, code);
    response.metadata.authoritative = true;
    if let (Some(data), Some(query)) = (data, question.queries.first()) {
        response.add_answer(Record::from_rdata(query.name.clone(), LIFETIME_S, data));
    }
    Verdict::Answer(Box::new(response))
}

/// The answer to a question nobody could answer.
pub fn fail(question: &Message) -> Message {
    start_response(question, ResponseCode::ServFail)
}

fn start_response(question: &Message, code: ResponseCode) -> Message {
    let asked = &question.metadata;
    let mut response = Message::new(asked.id, MessageType::Response, asked.op_code);
    response.metadata.recursion_desired = asked.recursion_desired;
    response.metadata.recursion_available = true;
    response.metadata.response_code = code;
    response.add_queries(question.queries.iter().cloned());
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use hickory_proto::op::Query;

    fn names() -> Names {
        let subnet = Subnet { address: Ipv4Addr::new(10, 1, 0, 0), prefix: 22 };
        let boxes = BTreeMap::from([(BoxName::new("db-1").unwrap(), Ipv4Addr::new(10, 1, 0, 2))]);
        Names { subnet, boxes }
    }

    /// The answer in one line, or "forward".
    fn ask(name: &str, kind: RecordType) -> String {
        let mut question = Message::query();
        question.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
        // Through the wire, as real questions come.
        let question = Message::from_vec(&question.to_vec().unwrap()).unwrap();
        match names().answer(&question) {
            Verdict::Forward => "forward".into(),
            Verdict::Answer(answer) => {
                let answer = Message::from_vec(&answer.to_vec().unwrap()).unwrap();
                assert_eq!(answer.metadata.id, question.metadata.id);
                let data: Vec<String> = answer.answers.iter().map(|record| record.data.to_string()).collect();
                format!("{} {}", answer.metadata.response_code, data.join(" "))
            }
        }
    }

    #[test]
    fn boxes_are_known_forward_and_backward() {
        let table = [
            ("db-1.", RecordType::A, "No Error 10.1.0.2"),
            ("DB-1", RecordType::A, "No Error 10.1.0.2"),
            ("db-1", RecordType::AAAA, "No Error "),
            ("db-1", RecordType::MX, "No Error "),
            ("db-2", RecordType::A, "forward"),
            ("db-1.example.", RecordType::A, "forward"),
            (".", RecordType::NS, "forward"),
            ("2.0.1.10.in-addr.arpa.", RecordType::PTR, "No Error db-1."),
            ("3.0.1.10.in-addr.arpa.", RecordType::PTR, "Non-Existent Domain "),
            ("1.1.1.1.in-addr.arpa.", RecordType::PTR, "forward"),
            ("0.1.10.in-addr.arpa.", RecordType::PTR, "forward"),
        ];
        for (name, kind, expected) in table {
            assert_eq!(ask(name, kind), expected, "{name} {kind}");
        }
    }
}
