//! Ways to cut an input, the same ones for the same bytes.

/// How an input arrives.
#[derive(Clone, Copy, Debug)]
pub enum Cut {
    Whole,
    Bytes,
    /// In pieces of lengths that the bytes themselves decide.
    Drawn,
}

/// The pieces, in order; none is empty.
pub fn pieces(data: &[u8], cut: Cut) -> Vec<&[u8]> {
    let mut state = data
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
    let mut rest = data;
    let mut pieces = Vec::new();
    while !rest.is_empty() {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let length = match cut {
            Cut::Whole => rest.len(),
            Cut::Bytes => 1,
            // Short ones more often: it is the ends of lines and frames that matter.
            Cut::Drawn => 1 + (state >> 40) as usize % (1 << ((state >> 33) as usize % 8)),
        };
        let (piece, after) = rest.split_at(length.min(rest.len()));
        pieces.push(piece);
        rest = after;
    }
    pieces
}
