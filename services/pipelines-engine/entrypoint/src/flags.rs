//! The command line that the engine writes (section 2.2): flags, `--`, and what the step itself runs.

use alloc::borrow::ToOwned as _;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crate::duration;
use crate::places::Places;

/// What is asked for.
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own on the command line")]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Flags {
    pub places: Places,
    /// Files that have to be there before the step begins.
    pub wait_files: Vec<String>,
    /// They must not be empty, either.
    pub wait_for_content: bool,
    /// Tells the next step that this one has ended well; with `.err` behind it, badly.
    pub post_file: Option<String>,
    /// Read by the kubelet.
    pub termination_file: Option<String>,
    /// Exit code, results and artifacts of this step, for later ones.
    pub metadata_folder: Option<String>,
    /// Names of all steps' containers, given to the first step: it makes the links that lead to their folders, which an init
    /// container did elsewhere.
    pub links: Vec<String>,
    /// Results are read by a sidecar.
    pub results_from_logs: bool,
    pub credentials: Vec<Credential>,
    /// A command that fails does not make the step fail.
    pub continues: bool,
    /// Nanoseconds. None: no limit.
    pub timeout: Option<i64>,
    /// Files that get a copy of the output.
    pub stdout: Option<String>,
    pub stderr: Option<String>,
    pub step_results: Vec<String>,
    pub results: Vec<String>,
    /// A step that fails waits to be looked at.
    pub breakpoint: bool,
    /// Made if it is not there, and where the command runs.
    pub working_folder: Option<String>,
    /// The program and its first arguments. None: that of the image.
    pub command: Option<Vec<u8>>,
    /// What follows `--`.
    pub rest: Vec<Vec<u8>>,
    /// What was wrong with the flags. The others count nevertheless: steps behind this one have to be told that it failed.
    pub fault: Option<String>,
}

/// A Secret to make files of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Credential {
    pub kind: Kind,
    pub secret: String,
    /// URL or host that it is for; empty where the Secret itself says.
    pub host: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    BasicGit,
    BasicDocker,
    SshGit,
    DockerConfigJson,
    DockerCfg,
}

/// Reads the arguments, without the program's own name. Go's notation: one dash or two, `-flag value` or `-flag=value`.
pub(crate) fn parse(arguments: Vec<Vec<u8>>) -> Flags {
    let mut flags = Flags::default();
    let mut arguments = arguments.into_iter();
    while let Some(argument) = arguments.next() {
        if argument == b"--" {
            break;
        }
        let Some(word) = argument.strip_prefix(b"-").map(|word| word.strip_prefix(b"-").unwrap_or(word))
        else {
            flags.rest.push(argument);
            break;
        };
        let (name, value) = match word.iter().position(|byte| *byte == b'=') {
            Some(at) => (&word[..at], Some(word[at + 1..].to_vec())),
            None => (word, None),
        };
        if flags.switch(name, value.as_deref()) {
            continue;
        }
        let Some(value) = value.or_else(|| arguments.next()) else {
            flags.fault = Some(format!("flag -{} has no value", crate::text(name)));
            break;
        };
        if let Err(fault) = flags.set(name, value) {
            flags.fault.get_or_insert(fault);
        }
    }
    flags.rest.extend(arguments);
    flags
}

impl Flags {
    /// Sets a flag that needs no value; false if it is none of these.
    fn switch(&mut self, name: &[u8], value: Option<&[u8]>) -> bool {
        let switch = match name {
            b"wait_file_content" => &mut self.wait_for_content,
            b"breakpoint_on_failure" => &mut self.breakpoint,
            _ => return false,
        };
        *switch = value.is_none_or(|value| value == b"true");
        true
    }

    fn set(&mut self, name: &[u8], value: Vec<u8>) -> Result<(), String> {
        if name == b"entrypoint" {
            self.command = Some(value).filter(|value| !value.is_empty());
            return Ok(());
        }
        let value = String::from_utf8(value)
            .map_err(|_| format!("the value of flag -{} is no UTF-8", crate::text(name)))?;
        match name {
            b"root" => self.places.root = value,
            b"wait_file" => self.wait_files.push(value),
            b"post_file" => self.post_file = given(value),
            b"termination_path" => self.termination_file = given(value),
            b"step_metadata_dir" => self.metadata_folder = given(value),
            b"step_links" => self.links = list(&value),
            b"result_from" => self.results_from_logs = value == "sidecar-logs",
            b"basic-git" => self.credential(Kind::BasicGit, &value),
            b"basic-docker" => self.credential(Kind::BasicDocker, &value),
            b"ssh-git" => self.credential(Kind::SshGit, &value),
            b"docker-config" => self.credential(Kind::DockerConfigJson, &value),
            b"docker-cfg" => self.credential(Kind::DockerCfg, &value),
            b"on_error" => self.continues = value == "continue",
            b"timeout" => {
                let timeout = duration::parse(&value)
                    .ok_or_else(|| format!("flag -timeout: {value:?} is no duration such as 1m30s"))?;
                if timeout < 0 {
                    return Err(format!("flag -timeout: {value} is negative"));
                }
                self.timeout = Some(timeout).filter(|timeout| *timeout > 0);
            }
            b"stdout_path" => self.stdout = given(value),
            b"stderr_path" => self.stderr = given(value),
            b"step_results" => self.step_results = list(&value),
            b"results" => self.results = list(&value),
            b"working_dir" => self.working_folder = given(value),
            _ => {
                return Err(format!(
                    "flag -{} is unknown: the engine is newer than this entrypoint",
                    crate::text(name)
                ));
            }
        }
        Ok(())
    }

    fn credential(&mut self, kind: Kind, value: &str) {
        let (secret, host) = value.split_once('=').unwrap_or((value, ""));
        self.credentials.push(Credential { kind, secret: secret.to_owned(), host: host.to_owned() });
    }
}

fn given(value: String) -> Option<String> {
    Some(value).filter(|value| !value.is_empty())
}

fn list(value: &str) -> Vec<String> {
    value.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn parsed(line: &str) -> Flags {
        parse(line.split(' ').map(|word| word.as_bytes().to_vec()).collect())
    }

    #[test]
    fn reads_what_the_engine_writes() {
        let flags = parsed(
            "-wait_file /tekton/run/1/out -wait_file_content -post_file /tekton/run/2/out -termination_path /tekton/termination \
             -step_metadata_dir /tekton/run/2/status -step_links step-a,step-b -result_from sidecar-logs \
             -basic-git=s=https://h?a=b -docker-cfg=t -on_error continue -timeout 1m0s -stdout_path /o -stderr_path /e \
             -step_results a,b -results r -breakpoint_on_failure -entrypoint sh -- -c -results",
        );
        let credential =
            |kind, secret: &str, host: &str| Credential { kind, secret: secret.into(), host: host.into() };
        let expected = Flags {
            places: Places::default(),
            wait_files: vec!["/tekton/run/1/out".into()],
            wait_for_content: true,
            post_file: Some("/tekton/run/2/out".into()),
            termination_file: Some("/tekton/termination".into()),
            metadata_folder: Some("/tekton/run/2/status".into()),
            links: vec!["step-a".into(), "step-b".into()],
            results_from_logs: true,
            credentials: vec![
                credential(Kind::BasicGit, "s", "https://h?a=b"),
                credential(Kind::DockerCfg, "t", ""),
            ],
            continues: true,
            timeout: Some(60_000_000_000),
            stdout: Some("/o".into()),
            stderr: Some("/e".into()),
            step_results: vec!["a".into(), "b".into()],
            results: vec!["r".into()],
            breakpoint: true,
            working_folder: None,
            command: Some(b"sh".to_vec()),
            rest: vec![b"-c".to_vec(), b"-results".to_vec()],
            fault: None,
        };
        assert_eq!(flags, expected);
    }

    #[rstest]
    #[case::two_dashes("--post_file=/o -- x")]
    #[case::one_dash("-post_file=/o -- x")]
    #[case::no_dashes_between("-post_file /o x")]
    fn takes_all_of_gos_notations(#[case] line: &str) {
        let flags = parsed(line);
        assert_eq!((flags.post_file.as_deref(), flags.rest.len()), (Some("/o"), 1));
    }

    #[rstest]
    #[case::unknown("-unheard_of x", "newer")]
    #[case::first_of_two("-timeout -1s -unheard_of x -post_file /o", "negative")]
    #[case::no_value("-post_file", "no value")]
    #[case::timeout("-timeout soon", "no duration")]
    #[case::negative("-timeout -1s", "negative")]
    fn says_what_is_wrong(#[case] line: &str, #[case] why: &str) {
        let fault = parsed(line).fault.unwrap();
        assert!(fault.contains(why), "{fault}");
    }

    #[test]
    fn flags_behind_a_fault_count() {
        assert_eq!(parsed("-timeout -1s -post_file /o --").post_file.as_deref(), Some("/o"));
    }

    #[test]
    fn no_timeout_is_no_limit() {
        assert_eq!(parsed("-timeout 0s --").timeout, None);
    }
}
