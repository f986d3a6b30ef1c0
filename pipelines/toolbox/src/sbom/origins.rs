//! Where Java classes come from: a mark that the platform's artifact cache puts into each class that it serves.
//!
//! An attribute of the class, `com.redhat.hacbs.ClassFileSource`: a byte for its version, the coordinates, the source, and further
//! pairs (jvm-build-service spec, 4.7). Texts are a length of four bytes and UTF-8.

use std::collections::{BTreeMap, BTreeSet};

use sbom::Package;

const MARK: &[u8] = b"com.redhat.hacbs.ClassFileSource";
/// Sources of what was built by the platform or its vendor.
const TRUSTED: [&str; 2] = ["redhat", "rebuilt"];
const MAX_ORIGINS: usize = 100_000;
const MAX_PAIRS: u32 = 64;

/// What the mark of one class says.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Origin {
    /// `group:artifact:version`.
    pub(super) coordinates: String,
    /// As `central` or `rebuilt`.
    pub(super) source: String,
    pub(super) attributes: BTreeMap<String, String>,
}

/// What the classes of an image say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Origins(BTreeSet<Origin>);

impl Origins {
    pub(super) fn add(&mut self, origin: Origin) {
        if self.0.len() < MAX_ORIGINS {
            self.0.insert(origin);
        }
    }

    /// How many artifacts are from where: JSON of sources and numbers.
    pub(super) fn counts(&self) -> BTreeMap<&str, usize> {
        let mut artifacts: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for origin in &self.0 {
            artifacts.entry(&origin.source).or_default().insert(&origin.coordinates);
        }
        artifacts.into_iter().map(|(source, artifacts)| (source, artifacts.len())).collect()
    }

    /// Coordinates of what was built by others.
    pub(super) fn community(&self) -> BTreeSet<&str> {
        let others = self.0.iter().filter(|origin| !TRUSTED.contains(&&*origin.source));
        others.map(|origin| &*origin.coordinates).collect()
    }

    pub(super) fn packages(&self) -> Vec<Package> {
        let package = |origin: &Origin| {
            let mut parts = origin.coordinates.split(':');
            let mut package = Package::maven(parts.next()?, parts.next()?, parts.next()).ok()?;
            package.publisher = Some(origin.source.clone());
            let attributes =
                origin.attributes.iter().map(|(name, value)| (format!("java:{name}"), value.clone()));
            package.properties.extend(attributes);
            package.properties.insert("package:type".to_owned(), "maven".to_owned());
            package.properties.insert("package:language".to_owned(), "java".to_owned());
            Some(package)
        };
        self.0.iter().filter_map(package).collect()
    }
}

/// The mark of a class file. `None` without one, or if it is no class file.
pub(super) fn of_class(class: &[u8]) -> Option<Origin> {
    // Most have none, and finding that out is quick.
    memchr::memmem::find(class, MARK)?;
    let mut class = Bytes(class);
    (class.u32()? == 0xcafe_babe).then_some(())?;
    class.take(4)?;
    let mark = constants(&mut class)?;
    // Access, itself, and what it extends.
    class.take(6)?;
    let interfaces = usize::from(class.u16()?);
    class.take(interfaces * 2)?;
    // Fields and methods: flags, name and type, then attributes.
    for _ in 0..2 {
        for _ in 0..class.u16()? {
            class.take(6)?;
            for _ in 0..class.u16()? {
                class.attribute()?;
            }
        }
    }
    for _ in 0..class.u16()? {
        let (name, content) = class.attribute()?;
        if mark.contains(&name) {
            return parse(Bytes(content));
        }
    }
    None
}

/// Passes over the constants. The answer: those that are the mark's name.
fn constants(class: &mut Bytes) -> Option<BTreeSet<u16>> {
    let mut found = BTreeSet::new();
    let count = class.u16()?;
    let mut index = 1;
    while index < count {
        let (length, slots) = match class.u8()? {
            1 => {
                let length = usize::from(class.u16()?);
                if class.take(length)? == MARK {
                    found.insert(index);
                }
                (0, 1)
            }
            3 | 4 | 9..=12 | 17 | 18 => (4, 1),
            // Two places each (JVM specification, 4.4.5).
            5 | 6 => (8, 2),
            7 | 8 | 16 | 19 | 20 => (2, 1),
            15 => (3, 1),
            _ => return None,
        };
        class.take(length)?;
        index = index.checked_add(slots)?;
    }
    Some(found)
}

fn parse(mut mark: Bytes) -> Option<Origin> {
    (mark.u8()? == 1).then_some(())?;
    let (coordinates, source) = (mark.text()?, mark.text()?);
    let pairs = mark.u32()?.min(MAX_PAIRS);
    let attributes = (0..pairs).map_while(|_| Some((mark.text()?, mark.text()?))).collect();
    (!coordinates.is_empty()).then_some(())?;
    let source = if source.is_empty() { "unknown".to_owned() } else { source };
    Some(Origin { coordinates, source, attributes })
}

/// Bytes that are read from the front; big endian, as class files are.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn u8(&mut self) -> Option<u8> {
        self.take(1).map(|bytes| bytes[0])
    }

    fn u16(&mut self) -> Option<u16> {
        self.take(2).map(|bytes| u16::from_be_bytes([bytes[0], bytes[1]]))
    }

    fn u32(&mut self) -> Option<u32> {
        let bytes = self.take(4)?;
        Some(u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    }

    fn text(&mut self) -> Option<String> {
        let length = usize::try_from(self.u32()?).ok()?;
        String::from_utf8(self.take(length)?.to_vec()).ok()
    }

    /// Its name's index, and its content.
    fn attribute(&mut self) -> Option<(u16, &'a [u8])> {
        let name = self.u16()?;
        let length = usize::try_from(self.u32()?).ok()?;
        Some((name, self.take(length)?))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::sbom::fuzz::fuzz;

    /// A class file with one constant of each size, a field and a method with an attribute, and the mark.
    pub(in super::super) fn class(coordinates: &str, source: &str) -> Vec<u8> {
        let text =
            |text: &str| [&u32::try_from(text.len()).unwrap().to_be_bytes()[..], text.as_bytes()].concat();
        let utf8 = |text: &[u8]| [&[1][..], &u16::try_from(text.len()).unwrap().to_be_bytes(), text].concat();
        let mark = [
            &[1][..],
            &text(coordinates),
            &text(source),
            &1_u32.to_be_bytes(),
            &text("scm"),
            &text("https://x"),
        ]
        .concat();
        // Constants: 1 a long (two places), 3 the mark's name, 4 a class, 5 another name.
        let constants = [&6_u16.to_be_bytes()[..], &[5; 9], &utf8(MARK), &[7, 0, 1], &utf8(b"Code")].concat();
        let member = [&[0; 6][..], &[0, 1], &[0, 5], &[0, 0, 0, 2], &[9, 9]].concat();
        [
            &[0xca, 0xfe, 0xba, 0xbe, 0, 0, 0, 61][..],
            &constants,
            &[0; 6],
            &[0, 1, 0, 4],
            &[0, 1],
            &member,
            &[0, 1],
            &member,
            &[0, 2],
            &[0, 5, 0, 0, 0, 0],
            &[0, 3],
            &u32::try_from(mark.len()).unwrap().to_be_bytes(),
            &mark,
        ]
        .concat()
    }

    #[test]
    fn marks_are_read_counted_and_listed() {
        let mut origins = Origins::default();
        for (coordinates, source) in
            [("org.a:a:1", "central"), ("org.a:a:1", "central"), ("org.b:b:2", "rebuilt"), ("org.c:c:3", "")]
        {
            origins.add(of_class(&class(coordinates, source)).unwrap());
        }
        let counts = serde_json::to_string(&origins.counts()).unwrap();
        assert_eq!(counts, r#"{"central":1,"rebuilt":1,"unknown":1}"#);
        assert_eq!(origins.community().into_iter().collect::<Vec<_>>(), ["org.a:a:1", "org.c:c:3"]);
        let packages = origins.packages();
        assert_eq!(packages[0].publisher.as_deref(), Some("central"));
        assert_eq!(packages[0].properties["java:scm"], "https://x");
        assert_eq!(packages[0].purl.to_string(), "pkg:maven/org.a/a@1");
    }

    #[test]
    fn others_have_none() {
        assert_eq!(of_class(b""), None);
        assert_eq!(of_class(MARK), None);
        let whole = class("org.a:a:1", "central");
        for end in 0..whole.len() - 1 {
            assert_eq!(of_class(&whole[..end]).filter(|origin| !origin.attributes.is_empty()), None, "{end}");
        }
    }

    #[test]
    fn never_panics() {
        let strategy = (0_usize..120, any::<u8>(), prop::collection::vec(any::<u8>(), 0..64));
        fuzz(&strategy, |(at, byte, rest)| {
            let mut hurt = class("org.a:a:1", "central");
            hurt[at] = byte;
            let _ = of_class(&hurt);
            hurt.truncate(at);
            hurt.extend(MARK);
            hurt.extend(rest);
            let _ = of_class(&hurt);
            Ok(())
        });
    }
}
