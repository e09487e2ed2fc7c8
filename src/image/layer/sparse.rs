//! Files with holes: GNU tar's old format and its PAX format 1.0 (tar's manual, "Storing Sparse Files").

use crate::image::layer::entries::{Entries, cut_short};
use crate::image::layer::header::{BLOCK, Header, SparseMap, sparse_map};
use crate::image::layer::pax::decimal;
use crate::model::{Failure, Result};
use std::io::BufRead;

impl<R: BufRead> Entries<'_, R> {
    /// Old GNU format: four pairs in the header, then blocks of 21 before the data.
    pub(super) fn gnu_sparse(&mut self, header: &Header) -> Result<(Option<SparseMap>, u64)> {
        let (mut map, mut more, real_size) = header.sparse()?;
        let mut block = [0_u8; BLOCK];
        while more {
            if !self.read_block(&mut block)? {
                return Err(cut_short());
            }
            map.extend(sparse_map(&block[..504])?);
            more = block[504] != 0;
            if map.len() as u64 * 24 > self.limits.header_bytes {
                return Err(Failure::new("the layer has a file with too many holes"));
            }
        }
        Ok((Some(map), real_size))
    }

    /// PAX format 1.0: decimal lines before the data, filled up to a block.
    pub(super) fn map_from_data(&mut self) -> Result<SparseMap> {
        let mut block = [0_u8; BLOCK];
        let (mut numbers, mut digits): (Vec<u64>, Vec<u8>) = (Vec::new(), Vec::new());
        loop {
            if self.data_left < BLOCK as u64 || !self.read_block(&mut block)? {
                return Err(cut_short());
            }
            self.data_left -= BLOCK as u64;
            for byte in block {
                if byte != b'\n' {
                    digits.push(byte);
                    continue;
                }
                numbers.push(decimal(&digits)?);
                digits.clear();
                let wanted = numbers[0].saturating_mul(2).saturating_add(1);
                if wanted.saturating_mul(12) > self.limits.header_bytes {
                    return Err(Failure::new("the layer has a file with too many holes"));
                }
                if numbers.len() as u64 == wanted {
                    return Ok(numbers[1..].chunks_exact(2).map(|pair| (pair[0], pair[1])).collect());
                }
            }
            if digits.len() > 20 {
                return Err(Failure::new("the tar is damaged: a sparse map of the wrong shape"));
            }
        }
    }
}

/// Ascending, apart from each other, inside the file, and as long as the data.
///
/// # Errors
/// It is not.
pub fn check_sparse(map: &[(u64, u64)], stored: u64, real_size: u64) -> Result<()> {
    let wrong = || Failure::new("the tar is damaged: a sparse map that does not fit its file");
    let (mut end, mut sum) = (0_u64, 0_u64);
    for (offset, length) in map {
        if *offset < end {
            return Err(wrong());
        }
        end = offset.checked_add(*length).ok_or_else(wrong)?;
        sum += length;
    }
    if end > real_size || sum != stored { Err(wrong()) } else { Ok(()) }
}
