//! Carries out the standard system calls of every R0VM host, by the rules of risc0-zkvm 3.0.6. This file must not know
//! who makes them.
//!
//! A call gets a buffer of whole words, and returns two results. Its arguments are in the user's a3, a4 and a5.

use super::guest::{A3, A4, A5, Guest, Region};
use super::streams::{self, STDOUT};
use super::{Digest, Host, HostEnv, HostError, keccak};
use crate::printable::printable;

/// Prefix of the full names of standard calls.
const PATH: &str = "risc0_zkvm_platform::syscall::nr::";
/// Maximum length of a call's name.
pub(super) const MAX_NAME_BYTES: usize = 256;
/// Maximum bytes of one machine ecall. Names and values of variables, and arguments, must be shorter.
const MAX_IO_BYTES: usize = 1024;
/// Maximum bytes that one call writes. It takes less than a second, which matters because limits are not checked
/// meanwhile.
const MAX_WRITE_BYTES: u32 = 256 << 20;
/// Maximum bytes kept of a guest's panic message.
const MAX_PANIC_BYTES: u32 = 1 << 20;
const DIGEST_BYTES: u32 = 32;

/// Results a0 and a1, and the number of bytes moved.
type Outcome = Result<((u32, u32), u64), HostError>;

impl Host for HostEnv<'_> {
    fn read(&mut self, guest: &dyn Guest, descriptor: u32, buffer: &mut [u8]) -> Result<usize, HostError> {
        self.whole(|host| host.answer(guest, descriptor, buffer))
    }

    fn write(&mut self, _: &dyn Guest, descriptor: u32, data: &[u8]) -> Result<u32, HostError> {
        self.whole(|host| {
            host.streams.take_output(data.len() as u64)?;
            let written = streams::write_all(&mut host.kernel_output, data);
            written.map_err(|source| HostError::Stream { descriptor, source })?;
            Ok(data.len() as u32)
        })
    }
}

/// Reads the zero-terminated name of a system call.
fn name(guest: &dyn Guest, address: u32) -> Result<String, HostError> {
    let mut bytes = Vec::new();
    for address in (address..=u32::MAX).take(MAX_NAME_BYTES + 1) {
        match (guest.word(address & !3) >> (address % 4 * 8)) as u8 {
            0 => {
                let unknown = |error: std::string::FromUtf8Error| HostError::UnknownSyscall {
                    name: String::from_utf8_lossy(error.as_bytes()).into_owned(),
                };
                return String::from_utf8(bytes).map_err(unknown);
            }
            byte => bytes.push(byte),
        }
    }
    Err(HostError::UnknownSyscall { name: String::from_utf8_lossy(&bytes).into_owned() })
}

/// Refuses a call's arguments, as `risc0` does in RISC Zero's words.
fn refuse<T>(syscall: &'static str, reason: impl Into<String>, risc0: impl Into<String>) -> Result<T, HostError> {
    Err(HostError::Arguments { syscall, reason: reason.into(), risc0: Some(risc0.into()) })
}

/// Checks the region that a call writes.
fn to_write(syscall: &'static str, address: u32, bytes: u32) -> Result<Region, HostError> {
    let region = Region::new(address, bytes)?;
    match bytes > MAX_WRITE_BYTES {
        true => {
            let reason = format!("it writes {bytes} bytes at once, more than {MAX_WRITE_BYTES}");
            Err(HostError::Arguments { syscall, reason, risc0: None })
        }
        false => Ok(region),
    }
}

/// Checks that a call that returns only results has no buffer.
fn no_buffer(syscall: &'static str, to_guest: &[u8]) -> Result<(), HostError> {
    match to_guest.is_empty() {
        true => Ok(()),
        false => {
            let reason = format!("it fills no buffer, but got one of {} bytes", to_guest.len());
            // Both kinds of a verification have one text in RISC Zero.
            let name = syscall.to_lowercase();
            let name = if name.starts_with("sys_verify_integrity") { "sys_verify" } else { &name };
            let risc0 = match name {
                "sys_keccak" => "invalid sys_keccak_prove".to_owned(),
                name => format!("invalid {name} call"),
            };
            refuse(syscall, reason, risc0)
        }
    }
}

/// Copies as much of a value as fits. The result is its whole length.
fn give_value(syscall: &'static str, value: &str, to_guest: &mut [u8]) -> Outcome {
    if value.len() >= MAX_IO_BYTES {
        let reason = format!("the value has {} bytes, {MAX_IO_BYTES} and more cannot be sent", value.len());
        let what = if syscall == "SYS_ARGV" { "argv" } else { "value" };
        return refuse(syscall, reason, format!("{} failure: {what} is too large", syscall.to_lowercase()));
    }
    let bytes = streams::copy(value.as_bytes(), to_guest);
    Ok(((value.len() as u32, 0), bytes as u64))
}

impl HostEnv<'_> {
    /// Answers [`Host::read`], and returns the number of bytes filled.
    fn answer(&mut self, guest: &dyn Guest, descriptor: u32, buffer: &mut [u8]) -> Result<usize, HostError> {
        if descriptor == 0 {
            let bytes = buffer.len();
            return match buffer.first_chunk_mut::<8>() {
                Some(results) if bytes.is_multiple_of(4) => {
                    let (a0, a1) = self.results;
                    *results = (a0 as u64 | (a1 as u64) << 32).to_le_bytes();
                    Ok(results.len())
                }
                _ => Err(HostError::ResultBuffer { bytes }),
            };
        }
        let name = name(guest, descriptor)?;
        let mut to_guest = vec![0; buffer.len().next_multiple_of(4)];
        self.results = self.call(guest, &name, &mut to_guest)?;
        Ok(streams::copy(&to_guest, buffer))
    }

    fn call(&mut self, guest: &dyn Guest, name: &str, to_guest: &mut [u8]) -> Result<(u32, u32), HostError> {
        if let Some(channel) = self.channels.get_mut(name) {
            let (a0, bytes) = channel.call(name, guest, &mut self.quota, to_guest)?;
            self.count(name, bytes);
            return Ok((a0, 0));
        }
        let unknown = || HostError::UnknownSyscall { name: name.to_owned() };
        let short = name.strip_prefix(PATH).ok_or_else(unknown)?;
        let (results, bytes) = match short {
            "SYS_ARGC" => self.argc(to_guest),
            "SYS_ARGV" => self.argv(guest, to_guest),
            "SYS_CYCLE_COUNT" => cycle_count(guest, to_guest),
            "SYS_GETENV" => self.getenv(guest, to_guest),
            "SYS_KECCAK" => self.keccak(guest, to_guest),
            "SYS_LOG" => self.log(guest, to_guest),
            "SYS_PANIC" => panic(guest, to_guest),
            "SYS_PIPE" => self.pipe(to_guest),
            "SYS_RANDOM" => self.random(to_guest),
            "SYS_READ" => self.read_stream(guest, to_guest),
            "SYS_VERIFY_INTEGRITY" => self.verify_integrity(guest, to_guest),
            "SYS_VERIFY_INTEGRITY2" => self.verify_integrity2(guest, to_guest),
            "SYS_WRITE" => self.write_stream(guest, to_guest),
            _ => Err(unknown()),
        }?;
        self.count(short, bytes);
        Ok(results)
    }

    fn argc(&self, to_guest: &[u8]) -> Outcome {
        no_buffer("SYS_ARGC", to_guest)?;
        Ok(((self.args.len() as u32, 0), 0))
    }

    fn argv(&self, guest: &dyn Guest, to_guest: &mut [u8]) -> Outcome {
        let index = guest.register(A3);
        match self.args.get(index as usize) {
            Some(value) => give_value("SYS_ARGV", value, to_guest),
            None => {
                let count = self.args.len();
                let risc0 = format!("guest requested index {index} from argv of len {count}");
                refuse("SYS_ARGV", format!("there is no argument {index}, there are {count}"), risc0)
            }
        }
    }

    fn getenv(&self, guest: &dyn Guest, to_guest: &mut [u8]) -> Outcome {
        // One byte more than allowed suffices to detect a name that is too long.
        let bytes = guest.register(A4).min(MAX_IO_BYTES as u32 + 1);
        let name = Region::new(guest.register(A3), bytes)?.load(guest);
        if name.len() > MAX_IO_BYTES {
            let reason = format!("the variable's name has more than {MAX_IO_BYTES} bytes");
            return refuse("SYS_GETENV", reason, "sys_getenv failure: env var name is too large");
        }
        let name = match str::from_utf8(&name) {
            Ok(name) => name,
            Err(error) => return refuse("SYS_GETENV", "the variable's name is not UTF-8", error.to_string()),
        };
        match self.env_vars.get(name) {
            Some(value) => give_value("SYS_GETENV", value, to_guest),
            None => Ok(((u32::MAX, 0), 0)),
        }
    }

    fn keccak(&mut self, guest: &dyn Guest, to_guest: &mut [u8]) -> Outcome {
        const CALL: &str = "SYS_KECCAK";
        match guest.register(A3) {
            0 => {
                if self.keccak.is_full() {
                    let risc0 = "keccak batch is full, prove must be called";
                    return refuse(CALL, "the batch is full and must be proven first", risc0);
                }
                let region = Region::new(guest.register(A4), keccak::STATE_BYTES as u32)?;
                let Ok(state) = <&mut [u8; keccak::STATE_BYTES]>::try_from(to_guest) else {
                    let reason = format!("the buffer must have the {} bytes of a state", keccak::STATE_BYTES);
                    return refuse(CALL, reason, "invalid sys_keccak_permute");
                };
                *state = region.load_array(guest);
                self.keccak.permute(&mut self.quota, state)?;
                Ok(((self.keccak.is_full() as u32, 0), keccak::STATE_BYTES as u64))
            }
            1 => {
                no_buffer(CALL, to_guest)?;
                let claim = Region::new(guest.register(A4), DIGEST_BYTES)?.load_array(guest);
                let control_root = Region::new(guest.register(A5), DIGEST_BYTES)?.load_array(guest);
                self.keccak.prove(&mut self.quota, claim, control_root)?;
                Ok(((0, 0), 2 * DIGEST_BYTES as u64))
            }
            mode => {
                let risc0 = format!("sys_keccak: invalid mode: {mode}");
                refuse(CALL, format!("there is no mode {mode}, only 0 (permute) and 1 (prove)"), risc0)
            }
        }
    }

    fn log(&mut self, guest: &dyn Guest, to_guest: &[u8]) -> Outcome {
        no_buffer("SYS_LOG", to_guest)?;
        let message = to_write("SYS_LOG", guest.register(A3), guest.register(A4))?;
        let begin = format!("R0VM[{}] ", guest.user_cycles());
        let bytes = begin.len() as u64 + message.bytes() as u64 + 1;
        self.streams.open_write(STDOUT, bytes, &mut self.quota)?;
        self.streams.write(STDOUT, begin.as_bytes())?;
        message.for_each_piece(guest, |piece| self.streams.write(STDOUT, piece))?;
        self.streams.write(STDOUT, b"\n")?;
        Ok(((0, 0), message.bytes().into()))
    }

    fn pipe(&mut self, to_guest: &mut [u8]) -> Outcome {
        let Ok(ends) = <&mut [u8; 8]>::try_from(to_guest) else {
            return refuse("SYS_PIPE", "two descriptors take a buffer of 8 bytes", "invalid sys_pipe call");
        };
        match self.streams.open_pipe() {
            Some((read, write)) => {
                *ends = (read as u64 | (write as u64) << 32).to_le_bytes();
                Ok(((0, 0), 0))
            }
            None => refuse("SYS_PIPE", "no file descriptor is free", "Could not allocate pipe"),
        }
    }

    fn random(&mut self, to_guest: &mut [u8]) -> Outcome {
        let failed = |source| HostError::Callback { name: "SYS_RANDOM".to_owned(), source };
        let bytes = streams::read_all(&mut self.random, to_guest).map_err(|error| failed(error.into()))?;
        match bytes == to_guest.len() {
            true => Ok(((bytes as u32, 0), bytes as u64)),
            false => Err(failed("the source of random bytes has ended".into())),
        }
    }

    fn read_stream(&mut self, guest: &dyn Guest, to_guest: &mut [u8]) -> Outcome {
        let (descriptor, wanted) = (guest.register(A3), guest.register(A4) as usize);
        if wanted < to_guest.len() {
            let reason = format!("it requests {wanted} bytes with a buffer of {}", to_guest.len());
            return refuse("SYS_READ", reason, "Word-aligned read buffer must be fully filled");
        }
        let main = self.streams.read(descriptor, to_guest, &mut self.quota)?;
        // The buffer holds whole words. Up to four more bytes go into the second result. If more are missing, the
        // stream has ended.
        let missing = wanted - main;
        let mut last = [0; 4];
        let end = match last.get_mut(..missing) {
            Some(room) => self.streams.read(descriptor, room, &mut self.quota)?,
            None => 0,
        };
        let bytes = main + end;
        Ok(((bytes as u32, u32::from_le_bytes(last)), bytes as u64))
    }

    fn write_stream(&mut self, guest: &dyn Guest, to_guest: &[u8]) -> Outcome {
        no_buffer("SYS_WRITE", to_guest)?;
        let descriptor = guest.register(A3);
        let data = to_write("SYS_WRITE", guest.register(A4), guest.register(A5))?;
        self.streams.open_write(descriptor, data.bytes().into(), &mut self.quota)?;
        data.for_each_piece(guest, |piece| self.streams.write(descriptor, piece))?;
        Ok(((0, 0), data.bytes().into()))
    }

    fn verify_integrity(&mut self, guest: &dyn Guest, to_guest: &[u8]) -> Outcome {
        let (claim, control_root) = claim("SYS_VERIFY_INTEGRITY", guest, to_guest)?;
        self.assumptions.resolve(&mut self.quota, claim, control_root)?;
        Ok(((0, 0), 2 * DIGEST_BYTES as u64))
    }

    fn verify_integrity2(&mut self, guest: &dyn Guest, to_guest: &[u8]) -> Outcome {
        let (claim, control_root) = claim("SYS_VERIFY_INTEGRITY2", guest, to_guest)?;
        self.assumptions.assume(&mut self.quota, claim, control_root)?;
        Ok(((0, 0), 2 * DIGEST_BYTES as u64))
    }
}

/// Loads the two adjacent digests that a verification refers to.
fn claim(syscall: &'static str, guest: &dyn Guest, to_guest: &[u8]) -> Result<(Digest, Digest), HostError> {
    no_buffer(syscall, to_guest)?;
    let address = guest.register(A3);
    let digests: [u8; 2 * DIGEST_BYTES as usize] = Region::new(address, 2 * DIGEST_BYTES)?.load_array(guest);
    let [claim, control_root]: [Digest; 2] = bytemuck::cast(digests);
    Ok((claim, control_root))
}

fn cycle_count(guest: &dyn Guest, to_guest: &[u8]) -> Outcome {
    no_buffer("SYS_CYCLE_COUNT", to_guest)?;
    let cycles = guest.user_cycles();
    Ok((((cycles >> 32) as u32, cycles as u32), 0))
}

/// Ends the run with the guest's panic; it never returns results.
fn panic(guest: &dyn Guest, to_guest: &[u8]) -> Outcome {
    no_buffer("SYS_PANIC", to_guest)?;
    let message = Region::new(guest.register(A3), guest.register(A4).min(MAX_PANIC_BYTES))?.load(guest);
    Err(HostError::GuestPanic { message: printable(&message, &['\n', '\t']) })
}
