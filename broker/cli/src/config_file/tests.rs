//! Each wrong configuration has its clear error; the documents are what the table says.

use model::{BrokerId, Endpoint};
use server::FlushPolicy;

use super::*;

fn read(text: &str) -> Result<Config, ConfigError> {
    parse("broker.toml", text, &Overrides::default())
}

/// The report of what is wrong with `text`, in one line, without the drawing.
fn report(text: &str) -> String {
    let report = read(text).unwrap_err().report(false);
    let letters: String = report.chars().map(|letter| if "│╭╰─╯┬·├".contains(letter) { ' ' } else { letter }).collect();
    letters.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[track_caller]
fn refuses(text: &str, words: &[&str]) {
    let report = report(text);
    for word in words {
        assert!(report.contains(word), "no \"{word}\" in: {report}");
    }
}

#[test]
fn no_file_is_one_node_on_localhost() {
    assert_eq!(read("").unwrap(), default_config());
    assert_eq!(load(None, &Overrides::default()).unwrap(), default_config());
}

#[test]
fn dotted_quoted_and_nested_keys_are_the_same_keys() {
    let dotted =
        read("node.id = 7\nlog.dirs = \"d\"\nlog.segment.bytes = 4_096\nmessage.max.bytes = 0x1000\n").unwrap();
    let quoted =
        read("\"node.id\" = 7\n\"log.dirs\" = \"d\"\n\"log.segment.bytes\" = 4096\n\"message.max.bytes\" = 4096\n")
            .unwrap();
    let nested =
        read("[node]\nid = 7\n[log]\ndirs = \"d\"\nsegment.bytes = 4096\n[message]\nmax.bytes = 4096\n").unwrap();
    assert_eq!(dotted, quoted);
    assert_eq!(dotted, nested);
    assert_eq!((dotted.node_id, dotted.topic_number("log.segment.bytes")), (BrokerId(7), Some(4096)));
    assert_eq!(dotted.voters[0].id, BrokerId(7), "a node that names no quorum is its own");
}

#[test]
fn a_cluster_of_three_is_read() {
    let config = read(
        "node.id = 2\ncluster.id = \"c\"\nlisteners = \"PLAINTEXT://127.0.0.1:9093\"\nflush.policy = \"os\"\n\
         controller.quorum.voters = [\"1@127.0.0.1:9092\", \"2@127.0.0.1:9093\", \"3@[::1]:9094\"]\n",
    )
    .unwrap();
    assert!(config.is_broker && config.is_controller());
    assert_eq!(config.voters[2].endpoint, Endpoint::new("::1", 9094));
    assert_eq!(config.flush_policy, FlushPolicy::Os);
    let again = read(&render(&config)).unwrap();
    assert_eq!(again, config, "a rendered configuration is read back the same");
}

#[test]
fn the_command_line_has_the_last_word() {
    let overrides = Overrides { listen: Some("127.0.0.1:7000".into()), data: Some("elsewhere".into()) };
    let config = parse("broker.toml", "listeners = \"localhost:1\"\nnum.partitions = 4", &overrides).unwrap();
    assert_eq!(config.listener, Endpoint::new("127.0.0.1", 7000));
    assert_eq!(config.voters[0].endpoint, config.listener);
    assert_eq!((config.metadata_directory(), config.default_partitions), ("elsewhere", 4));

    let overrides = Overrides { listen: Some("7000".into()), data: None };
    let report = parse("broker.toml", "", &overrides).unwrap_err().report(false);
    assert!(report.contains("--listen: listeners cannot be read: \"7000\" has no port"), "{report}");
}

#[test]
fn an_error_shows_its_line_and_its_remedy() {
    let error = read("node.id = 1\nnode.idd = 2\n").unwrap_err().report(false);
    let expected = "  × there is no key \"node.idd\"
   ╭─[broker.toml:2:6]
 1 │ node.id = 1
 2 │ node.idd = 2
   ·      ─┬─
   ·       ╰── unknown
   ╰────
  help: did you mean \"node.id\"? `broker config describe` lists every key
";
    assert_eq!(error, expected);
}

#[test]
fn an_unknown_key_names_the_nearest() {
    refuses(
        "log.segment.byte = 1",
        &["[broker.toml:1:13]", "no key \"log.segment.byte\"", "did you mean \"log.segment.bytes\"?"],
    );
    refuses("zookeeper.connect = \"x\"", &["no key \"zookeeper.connect\"", "remove it"]);
}

#[test]
fn every_mistake_is_reported_at_once() {
    refuses("node.idd = 1\nnum.partitions = 0\n", &["node.idd", "num.partitions is 0, which is out of range"]);
}

#[test]
fn a_key_said_twice_is_refused() {
    refuses("node.id = 1\n\"node.id\" = 2\n", &["\"node.id\" is said twice"]);
    refuses("node.id = 1\nnode.id = 2\n", &["[broker.toml:2:", "not TOML", "duplicate key"]);
}

#[test]
fn what_is_not_toml_is_refused_at_its_line() {
    refuses("node.id = 1\nlog.dirs = data\n", &["[broker.toml:2:12]", "not TOML"]);
    refuses("node.id: 1\n", &["[broker.toml:1:", "not TOML"]);
}

#[test]
fn a_wrong_type_is_refused_with_the_right_one() {
    refuses("node.id = \"1\"", &["node.id takes a whole number, not a text", "write 1, without quotes"]);
    refuses("node.id = 1.5", &["node.id takes a whole number, not a fraction"]);
    refuses(
        "request.timeout.ms = \"2s\"",
        &["a whole number of milliseconds, not a text", "write 2000, without quotes or units"],
    );
    refuses("log.segment.bytes = \"1 MiB\"", &["a whole number of bytes", "write 1048576, without"]);
    refuses("request.timeout.ms = \"soon\"", &["write digits only"]);
    refuses("auto.create.topics.enable = \"yes\"", &["takes true or false, not a text"]);
    refuses("cluster.id = 12", &["cluster.id takes a text in double quotes, not a number", "write \"12\""]);
    refuses("listeners = [1, 2]", &["listeners takes a text in double quotes, not a list"]);
}

#[test]
fn a_value_out_of_range_is_refused_with_the_range() {
    refuses("node.id = -1", &["node.id is -1, which is out of range", "from 0 to 2147483647"]);
    refuses("log.segment.bytes = 99999999999999999999", &["99999999999999999999, which is out of range"]);
    refuses("default.replication.factor = 40000", &["from 1 to 32767"]);
    refuses("flush.policy = \"never\"", &["flush.policy is \"never\", which is no policy", "`commit` or `os`"]);
    refuses("broker.rack = \" \"", &["broker.rack is empty"]);
    refuses("cluster.id = \"a b\"", &["\"a b\" is no name for a cluster"]);
    refuses("process.roles = \"brokr\"", &["has \"brokr\", which is no role"]);
    refuses("log.dirs = \"a,b,a/\"", &["names a twice"]);
    refuses("log.dirs = \"disks/a,disks\"", &["names disks/a, which is inside of disks"]);
    refuses("log.dirs = \"a,,b\"", &["is empty"]);
}

#[test]
fn a_place_that_nobody_can_listen_at_is_refused() {
    refuses("listeners = \"localhost\"", &["has no port: write host:port"]);
    refuses("listeners = \"localhost:99999\"", &["is not a port"]);
    refuses("listeners = \"SSL://localhost:9092\"", &["asks for SSL; only PLAINTEXT is offered"]);
    refuses("listeners = \"a:1,b:2\"", &["several endpoints"]);
    refuses(
        "listeners = \"no-such-host.invalid:9092\"",
        &["\"no-such-host.invalid\" is unknown to this machine", "0.0.0.0"],
    );
    refuses("listeners = \"0.0.0.0:9092\"", &["clients would be told to connect to 0.0.0.0", "advertised.listeners ="]);
}

#[test]
fn voters_that_contradict_are_refused() {
    let voters = |text: &str| format!("cluster.id = \"c\"\ncontroller.quorum.voters = \"{text}\"\n");
    refuses(&voters("1@a:9092,1@b:9092"), &["names node 1 twice"]);
    refuses(&voters("1@a:9092,2@a:9092"), &["names a:9092 twice"]);
    refuses(&voters("a:9092"), &["does not say who it is", "`id@host:port`"]);
    refuses(&voters("x@a:9092"), &["whose id is no number"]);
    refuses(
        &voters("1@localhost:9999"),
        &["the voters say that node 1 is at localhost:9999, and it listens at localhost:9092"],
    );
    refuses(
        "controller.quorum.voters = \"1@localhost:9092,2@b:9092\"",
        &["needs a name that all of them know", "cluster.id ="],
    );
}

#[test]
fn roles_that_contradict_the_voters_are_refused() {
    let file = |roles: &str, voters: &str| {
        format!(
            "node.id = 4\ncluster.id = \"c\"\nprocess.roles = \"{roles}\"\ncontroller.quorum.voters = \"{voters}\"\n"
        )
    };
    refuses(&file("broker", "4@localhost:9092"), &["node 4 is among the voters, and so is a controller"]);
    refuses("process.roles = \"broker\"", &["node 1 is no controller, and nobody else is named"]);
    let broker = read(&file("broker", "1@a:9092")).unwrap();
    assert!(broker.is_broker && !broker.is_controller());
    let joins_later = read(&file("controller", "1@a:9092")).unwrap();
    assert!(joins_later.may_join_quorum && !joins_later.is_controller() && !broker.may_join_quorum);
    let controller = read(&file("controller", "4@localhost:9092")).unwrap();
    assert!(!controller.may_join_quorum);
    assert!(!controller.is_broker && controller.is_controller());
}

#[test]
fn limits_that_contradict_are_refused() {
    refuses(
        "broker.session.timeout.ms = 1000",
        &["broker.heartbeat.interval.ms is 2000, too much for broker.session.timeout.ms"],
    );
    refuses("replica.fetch.wait.max.ms = 20000", &["too much for replica.lag.time.max.ms"]);
    refuses("log.segment.bytes = 1024", &["would not fit into any segment"]);
    refuses("socket.request.max.bytes = 2048", &["would not fit into any request"]);
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let error = load(Some(Path::new("no/such/file.toml")), &Overrides::default()).unwrap_err().report(false);
    assert!(error.contains("cannot read the configuration no/such/file.toml: No such file"), "{error}");
}

#[test]
fn the_example_file_is_the_default_node() {
    assert_eq!(read(&example()).unwrap(), default_config());
    // With the comments taken off its keys it is still a configuration.
    let all: String = example()
        .lines()
        .map(|line| match line.strip_prefix("# ") {
            Some(key) if keys().any(|known| key.starts_with(&format!("{} = ", known.name))) => format!("{key}\n"),
            _ => format!("{line}\n"),
        })
        .collect();
    let config = read(&all).unwrap();
    assert_eq!(config.rack.as_deref(), Some("room-a"));
    assert_eq!(read(&render(&config)).unwrap(), config);
}

#[test]
fn the_documents_are_what_the_table_says() {
    let page = include_str!("../../../../docs/configuration.md");
    assert!(page == markdown(), "run: broker config describe --format markdown > docs/configuration.md");
    let file = include_str!("../../../../docs/broker.example.toml");
    assert!(file == example(), "run: broker config describe --format toml > docs/broker.example.toml");
}

#[test]
fn names_are_unique_and_every_default_is_allowed() {
    let mut names: Vec<_> = keys().map(|key| key.name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), keys().count());
    assert!(terminal().contains("node.id\n    Number, 0 to 2147483647. Default: `1`."));
}
