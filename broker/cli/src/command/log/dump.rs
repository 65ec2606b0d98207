//! `broker log dump`: what a file of a log says, for people and for programs.

use std::io::{BufWriter, ErrorKind, Stdout, Write, stdout};
use std::path::{Path, PathBuf};

use clap::Args;
use host::File;
use protocol::records::{StoredRecord, batch_records};
use storage::checkpoint::FILE_BYTES_MAX;
use storage::inspect::{Batches, FoundBatch, LogFile, content};

use super::lines::{Form, of_batch, of_content, of_record, title};
use super::read_only::ReadOnly;
use crate::failure::Failure;

/// Show what the files of a log say: batches, indexes, producers and checkpoints.
///
/// Reads and changes nothing, so a broker may be running. Exits with 1, after all that can be read, if a file is torn or damaged,
/// and says where.
///
///     broker log dump data/orders-0
///     broker log dump data/orders-0/00000000000000000000.log --records
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Dump {
    /// A file of a log, or the directory of a partition: then each of its files.
    path: PathBuf,
    /// One JSON object a line.
    #[arg(long)]
    json: bool,
    /// The records of each batch too: keys, values and headers, decompressed.
    #[arg(long)]
    records: bool,
}

/// Why a file is not read on.
enum Stop {
    /// Nobody reads what is printed, as after `head`, or it cannot be printed.
    Output(std::io::Error),
    File(String),
}

impl From<std::io::Error> for Stop {
    fn from(error: std::io::Error) -> Stop {
        Stop::Output(error)
    }
}

struct Printer {
    output: BufWriter<Stdout>,
    form: Form,
    with_records: bool,
}

impl Dump {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let files = files(&self.path)?;
        let form = if self.json { Form::Json } else { Form::Text };
        let mut printer = Printer { output: BufWriter::new(stdout()), form, with_records: self.records };
        let mut damage = Vec::new();
        for (path, file) in files {
            match printer.print_file(&path, file) {
                Ok(()) => {}
                Err(Stop::File(why)) => damage.push(format!("{}: {why}", path.display())),
                Err(Stop::Output(error)) => return not_printed(&error),
            }
        }
        if let Err(error) = printer.output.flush() {
            return not_printed(&error);
        }
        if damage.is_empty() { Ok(()) } else { Err(Failure::failed(damage.join("\nerror: "))) }
    }
}

/// A reader that closes early has had enough, which is no failure.
fn not_printed(error: &std::io::Error) -> Result<(), Failure> {
    match error.kind() {
        ErrorKind::BrokenPipe => Ok(()),
        _ => Err(Failure::failed(format!("cannot write to standard output: {error}"))),
    }
}

/// The files that `path` means, and what each is.
fn files(path: &Path) -> Result<Vec<(PathBuf, LogFile)>, Failure> {
    let shown = path.display();
    let failed = |error: std::io::Error| Failure::bad_input(format!("cannot read {shown}: {error}"));
    let kind_of = |path: &Path| path.file_name().and_then(|name| name.to_str()).and_then(LogFile::of);
    if !path.metadata().map_err(failed)?.is_dir() {
        let file = kind_of(path).ok_or_else(|| {
            Failure::bad_input(format!(
                "{shown} is no file of a log: those end in .log, .index, .timeindex or .snapshot, or are called leader-epoch-checkpoint, recovery-point-checkpoint, log-start-offset-checkpoint or cleaner-offset-checkpoint"
            ))
        })?;
        return Ok(vec![(path.to_owned(), file)]);
    }
    let mut files = Vec::new();
    for entry in path.read_dir().map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        files.extend(kind_of(&path).map(|file| (path, file)));
    }
    if files.is_empty() {
        let hint = "name the directory of a partition, such as data/orders-0";
        return Err(Failure::bad_input(format!("{shown} has no file of a log: {hint}")));
    }
    files.sort_unstable_by(|a, b| a.0.cmp(&b.0));
    Ok(files)
}

impl Printer {
    fn print_file(&mut self, path: &Path, file: LogFile) -> Result<(), Stop> {
        let unreadable = |error: std::io::Error| Stop::File(format!("it cannot be read: {error}"));
        let name = path.display().to_string();
        let opened = ReadOnly::open(path).map_err(unreadable)?;
        if self.form == Form::Text {
            writeln!(self.output, "{}", title(&name, file))?;
        }
        if let LogFile::Segment(_) | LogFile::Snapshot(_) = file {
            return self.print_segment(&name, &opened);
        }
        let length = opened.length().map_err(unreadable)?;
        if FILE_BYTES_MAX < length {
            return Err(Stop::File(format!("it has {length} bytes, and such a file has at most {FILE_BYTES_MAX}")));
        }
        let mut bytes = vec![0; length as usize];
        let read = opened.read_at(0, &mut bytes).map_err(unreadable)?;
        let content = content(file, &bytes[..read]).map_err(|error| Stop::File(error.to_string()))?;
        for line in content.iter().flat_map(|content| of_content(self.form, &name, content)) {
            writeln!(self.output, "{line}")?;
        }
        Ok(())
    }

    fn print_segment(&mut self, name: &str, file: &ReadOnly) -> Result<(), Stop> {
        let stop = |error: storage::inspect::InspectError| Stop::File(error.to_string());
        let mut batches = Batches::of(file).map_err(|error| Stop::File(format!("it cannot be read: {error}")))?;
        let mut damage = None;
        while let Some(batch) = batches.next_batch().map_err(stop)? {
            writeln!(self.output, "{}", of_batch(self.form, name, &batch))?;
            let position = batch.position;
            if !batch.has_valid_checksum {
                damage.get_or_insert(format!("it is damaged at byte {position}: the batch's checksum does not fit"));
            } else if self.with_records {
                let records =
                    records(&batches, &batch).map_err(|why| format!("it is damaged at byte {position}: {why}"));
                match records {
                    Ok(records) => self.print_records(name, &batch, &records)?,
                    Err(why) => damage = damage.or(Some(why)),
                }
            }
        }
        damage.map_or(Ok(()), |why| Err(Stop::File(why)))
    }

    fn print_records(&mut self, name: &str, batch: &FoundBatch, records: &[StoredRecord]) -> Result<(), Stop> {
        for record in records {
            writeln!(self.output, "{}", of_record(self.form, name, batch, record))?;
        }
        Ok(())
    }
}

fn records(batches: &Batches<'_, ReadOnly>, batch: &FoundBatch) -> Result<Vec<StoredRecord>, String> {
    let bytes = batches.bytes(batch).map_err(|error| error.to_string())?;
    let mut records = Vec::new();
    batch_records(&batch.header, bytes, &mut records).map_err(|error| error.to_string())?;
    Ok(records)
}
