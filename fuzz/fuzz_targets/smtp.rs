//! Any bytes as a mail server's reply.
#![no_main]

use caribe_health::probe::smtp::SmtpReply;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let SmtpReply::Complete { code, length } = SmtpReply::read(bytes) {
        assert!((200..600).contains(&code));
        // Nothing behind the reply was needed for it.
        assert_eq!(
            SmtpReply::read(&bytes[..length]),
            SmtpReply::Complete { code, length }
        );
    }
});
