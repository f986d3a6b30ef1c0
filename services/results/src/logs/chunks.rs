//! Cuts a stream of bytes anew.

use std::pin::Pin;

use bytes::{Bytes, BytesMut};
use futures::stream::{self, BoxStream};
use futures::{Stream, StreamExt as _, TryStreamExt as _};

/// The bytes of `stream` in chunks of exactly `size`, of which the last may be shorter; none is empty.
pub(super) fn of<E: Send + 'static>(
    size: usize,
    stream: impl Stream<Item = Result<Bytes, E>> + Send + 'static,
) -> impl Stream<Item = Result<Bytes, E>> + Send + 'static {
    let source: BoxStream<'static, Result<Bytes, E>> = Box::pin(stream.fuse());
    stream::try_unfold((source, Bytes::new()), move |(mut source, mut rest)| async move {
        Ok(take(source.as_mut(), &mut rest, size).await?.map(|chunk| (chunk, (source, rest))))
    })
}

/// The next `size` bytes of `rest` and then `source`, which is fused; fewer where that ends. `None` if there are none. What was given at once
/// is not copied.
pub(super) async fn take<E>(
    mut source: Pin<&mut (dyn Stream<Item = Result<Bytes, E>> + Send)>,
    rest: &mut Bytes,
    size: usize,
) -> Result<Option<Bytes>, E> {
    let mut chunk = BytesMut::new();
    loop {
        if chunk.is_empty() && rest.len() >= size {
            return Ok(Some(rest.split_to(size)));
        }
        let fits = rest.split_to(rest.len().min(size - chunk.len()));
        chunk.extend_from_slice(&fits);
        if chunk.len() == size {
            return Ok(Some(chunk.freeze()));
        }
        match source.try_next().await? {
            Some(more) => *rest = more,
            None if chunk.is_empty() => return Ok(None),
            None => return Ok(Some(chunk.freeze())),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures::executor::block_on;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn keeps_the_bytes_and_cuts_them_evenly(pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..12), size in 1_usize..30) {
            let whole = pieces.concat();
            let source = stream::iter(pieces.into_iter().map(|piece| Ok::<_, Infallible>(Bytes::from(piece))));
            let cut: Vec<Bytes> = block_on(of(size, source).try_collect()).unwrap();
            prop_assert!(cut.iter().rev().skip(1).all(|chunk| chunk.len() == size));
            prop_assert!(cut.iter().all(|chunk| !chunk.is_empty() && chunk.len() <= size));
            prop_assert_eq!(cut.concat(), whole);
        }
    }

    #[test]
    fn an_error_ends_the_stream() {
        let source =
            stream::iter([Ok(Bytes::from_static(b"abc")), Err("broken"), Ok(Bytes::from_static(b"d"))]);
        let seen: Vec<_> = block_on(of(2, source).collect());
        assert_eq!(seen, [Ok(Bytes::from_static(b"ab")), Err("broken")]);
    }
}
