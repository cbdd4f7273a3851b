//! The fuzz targets' entry points as properties, so that every test run drives them.

use proptest::collection::vec;
use proptest::prelude::*;
use underseal_message::fuzz;

proptest! {
    #[test]
    fn a_filter_does_as_its_model(
        start in vec(any::<u8>(), 3),
        writes in vec(0..40u8, 15),
        script in vec(any::<u8>(), 0..300),
    ) {
        let mut data = [start, writes, script].concat();
        data[2] |= 15;
        fuzz::filter(&data);
    }
}
