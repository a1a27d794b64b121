//! Each rule of the muxer on its own, then random interleavings of everything.

mod fake;
mod random;

use std::cell::RefCell;
use std::net::Shutdown;
use std::rc::Rc;
use std::time::Duration;

use super::*;
use fake::{FakeHost, GUEST, Program, Shared, drain, muxer, packet};

/// A connection from guest port 1 to a program on port 8000, its RESPONSE taken.
fn open() -> (Muxer<FakeHost>, Token, Shared) {
    let mut muxer = muxer(&[8000]);
    muxer.from_guest(&packet(Op::Request, 1, 8000), &[]);
    assert_eq!(drain(&mut muxer), [(Op::Response, 1)]);
    let (_, token, program) = muxer.host.called.pop().unwrap();
    (muxer, token, program)
}

fn rw(bytes: &[u8]) -> Header {
    Header {
        len: u32::try_from(bytes.len()).unwrap(),
        ..packet(Op::Rw, 1, 8000)
    }
}

fn shutdown(shut: Shut) -> Header {
    Header {
        flags: shut.flags(),
        ..packet(Op::Shutdown, 1, 8000)
    }
}

const END_OF_SENDING: Shut = Shut {
    send: true,
    receive: false,
};

/// A program that has called and sent `line`.
fn call(muxer: &mut Muxer<FakeHost>, line: &[u8]) -> Shared {
    let program = Rc::new(RefCell::new(Program {
        room: usize::MAX,
        out: line.iter().copied().collect(),
        ..Program::default()
    }));
    muxer.host.calling.push_back(Rc::clone(&program));
    muxer.accept();
    program
}

fn next(muxer: &mut Muxer<FakeHost>) -> Header {
    muxer.to_guest(&mut vec![0; MAX_PAYLOAD]).unwrap()
}

#[test]
fn nobody_listens_is_an_rst_from_the_address_that_was_called() {
    let mut muxer = muxer(&[8000]);
    for cid in PARENT_CIDS {
        muxer.from_guest(
            &Header {
                dst_cid: cid,
                ..packet(Op::Request, 1, 9)
            },
            &[],
        );
        let rst = next(&mut muxer);
        assert_eq!((rst.op, rst.src_cid, rst.src_port), (Op::Rst as u16, cid, 9));
        assert_eq!((rst.dst_cid, rst.dst_port), (GUEST, 1));
        muxer.from_guest(
            &Header {
                dst_cid: cid,
                ..packet(Op::Request, 1, 8000)
            },
            &[],
        );
        assert_eq!(
            (next(&mut muxer).op, next_cid(&muxer)),
            (Op::Response as u16, cid)
        );
    }
    assert_eq!(muxer.stats().refused, 2);
}

fn next_cid(muxer: &Muxer<FakeHost>) -> u64 {
    muxer.entries.last_key_value().unwrap().1.pair.parent_cid
}

#[test]
fn what_fits_no_connection_is_refused_or_dropped() {
    let mut muxer = muxer(&[8000]);
    for cid in [0, 1, 4, GUEST, u64::MAX] {
        muxer.from_guest(
            &Header {
                dst_cid: cid,
                ..packet(Op::Request, 1, 8000)
            },
            &[],
        );
        muxer.from_guest(
            &Header {
                src_cid: cid ^ GUEST ^ 7,
                ..packet(Op::Request, 1, 8000)
            },
            &[],
        );
    }
    assert_eq!((muxer.stats().wrong_cid, muxer.has_output()), (10, false));
    for op in [0, 2, 4, 5, 6, 7, 8, u16::MAX] {
        muxer.from_guest(
            &Header {
                op,
                ..packet(Op::Rw, 1, 8000)
            },
            &[],
        );
        assert_eq!(drain(&mut muxer), [(Op::Rst, 1)], "op {op}");
    }
    muxer.from_guest(&packet(Op::Rst, 1, 8000), &[]);
    assert!(!muxer.has_output(), "an RST is never answered");
    for kind in [0, 2, 3] {
        muxer.from_guest(
            &Header {
                kind,
                ..packet(Op::Request, 1, 8000)
            },
            &[],
        );
        let rst = next(&mut muxer);
        assert_eq!(
            (rst.op, rst.kind),
            (Op::Rst as u16, kind),
            "only streams are served"
        );
    }
    assert!(muxer.host.called.is_empty());
}

#[test]
fn replies_are_bounded() {
    let mut muxer = muxer(&[]);
    for port in 0..10_000 {
        muxer.from_guest(&packet(Op::Request, port, 1), &[]);
    }
    assert_eq!(drain(&mut muxer).len(), MAX_REPLIES);
}

#[test]
fn an_unknown_op_or_a_second_request_breaks_its_connection() {
    for op in [0, Op::Request as u16, Op::Response as u16, 99] {
        let (mut muxer, _, program) = open();
        muxer.from_guest(
            &Header {
                op,
                ..packet(Op::Rw, 1, 8000)
            },
            &[],
        );
        assert_eq!(drain(&mut muxer), [(Op::Rst, 1)], "op {op}");
        assert!(program.borrow().dropped);
        assert_eq!(muxer.stats().open, 0);
    }
}

#[test]
fn guest_half_close_reaches_the_program_after_the_bytes() {
    let (mut muxer, token, program) = open();
    program.borrow_mut().room = 2;
    muxer.from_guest(&rw(b"abcd"), b"abcd");
    muxer.from_guest(&shutdown(END_OF_SENDING), &[]);
    assert!(program.borrow().shut.is_empty(), "bytes still wait");
    program.borrow_mut().room = 10;
    muxer.event(token, false, true, false);
    assert_eq!(
        (&program.borrow().got[..], &program.borrow().shut[..]),
        (&b"abcd"[..], &[Shutdown::Write][..])
    );
    program.borrow_mut().out.extend(b"answer");
    muxer.event(token, true, false, false);
    assert_eq!(drain(&mut muxer), [(Op::Rw, 1)], "the other direction is open");
    muxer.from_guest(&rw(b"x"), b"x");
    assert_eq!(drain(&mut muxer), [(Op::Rst, 1)], "bytes after the end");
}

#[test]
fn a_closed_guest_is_answered_at_once_and_its_bytes_still_arrive() {
    let (mut muxer, token, program) = open();
    program.borrow_mut().room = 1;
    muxer.from_guest(&rw(b"abcd"), b"abcd");
    muxer.from_guest(&shutdown(Shut::BOTH), &[]);
    assert_eq!(drain(&mut muxer), [(Op::Rst, 1)]);
    assert!(!program.borrow().dropped);
    muxer.from_guest(&packet(Op::Request, 1, 8000), &[]);
    assert_eq!(
        drain(&mut muxer),
        [(Op::Response, 1)],
        "the guest may use its port again"
    );
    program.borrow_mut().room = 10;
    muxer.event(token, false, true, false);
    assert_eq!(program.borrow().got, b"abcd");
    assert!(program.borrow().dropped);
    assert_eq!(muxer.stats().open, 1);
}

#[test]
fn program_half_close_reaches_the_guest_after_the_bytes() {
    let (mut muxer, token, program) = open();
    program.borrow_mut().out.extend(b"bye");
    program.borrow_mut().ended = true;
    muxer.event(token, true, false, false);
    assert_eq!(next(&mut muxer).len, 3);
    let end = next(&mut muxer);
    assert_eq!((end.op, end.flags), (Op::Shutdown as u16, 2));
    muxer.from_guest(&rw(b"still"), b"still");
    assert_eq!(program.borrow().got, b"still");
    muxer.event(token, true, true, true);
    let end = next(&mut muxer);
    assert_eq!((end.op, end.flags), (Op::Shutdown as u16, 3), "now it is gone");
    assert!(program.borrow().dropped);
    muxer.from_guest(&packet(Op::Rst, 1, 8000), &[]);
    assert_eq!(muxer.stats().open, 0);
}

#[test]
fn a_program_that_sends_and_goes_loses_nothing() {
    let (mut muxer, token, program) = open();
    muxer.from_guest(
        &Header {
            buf_alloc: 3,
            ..packet(Op::CreditUpdate, 1, 8000)
        },
        &[],
    );
    program.borrow_mut().out.extend(b"abcd");
    program.borrow_mut().ended = true;
    program.borrow_mut().gone = true;
    muxer.event(token, true, true, true);
    assert_eq!(drain(&mut muxer), [(Op::Rw, 1), (Op::CreditRequest, 1)]);
    muxer.from_guest(
        &Header {
            buf_alloc: 3,
            fwd_cnt: 3,
            ..packet(Op::CreditUpdate, 1, 8000)
        },
        &[],
    );
    assert_eq!(
        drain(&mut muxer),
        [(Op::Rw, 1), (Op::CreditRequest, 1)],
        "one packet fits so small a buffer"
    );
    muxer.from_guest(
        &Header {
            buf_alloc: 3,
            fwd_cnt: 4,
            ..packet(Op::CreditUpdate, 1, 8000)
        },
        &[],
    );
    assert_eq!(drain(&mut muxer), [(Op::Shutdown, 1)]);
}

#[test]
fn a_guest_that_does_not_forget_is_reset_in_time() {
    let (mut muxer, token, program) = open();
    program.borrow_mut().ended = true;
    muxer.event(token, true, true, true);
    assert_eq!(drain(&mut muxer), [(Op::Shutdown, 1)]);
    muxer.from_guest(&rw(b"late"), b"late");
    assert!(!muxer.has_output(), "bytes that were under way are no error");
    muxer.tick(muxer.deadline().unwrap());
    assert_eq!(drain(&mut muxer), [(Op::Rst, 1)]);
    assert_eq!((muxer.stats().open, muxer.deadline()), (0, None));
}

#[test]
fn a_program_that_takes_no_more_ends_one_direction() {
    let (mut muxer, _, program) = open();
    program.borrow_mut().gone = true;
    muxer.from_guest(&rw(b"abc"), b"abc");
    let end = next(&mut muxer);
    assert_eq!((end.op, end.flags, end.fwd_cnt), (Op::Shutdown as u16, 1, 3));
    muxer.from_guest(&rw(b"abc"), b"abc");
    assert!(!muxer.has_output());
}

#[test]
fn more_than_the_grant_is_a_reset() {
    let (mut muxer, _, program) = open();
    program.borrow_mut().room = 0;
    let block = vec![7; MAX_PAYLOAD];
    for _ in 0..GRANT as usize / MAX_PAYLOAD {
        muxer.from_guest(&rw(&block), &block);
        assert!(!muxer.has_output());
    }
    muxer.from_guest(&rw(b"x"), b"x");
    assert_eq!(drain(&mut muxer), [(Op::Rst, 1)]);
}

#[test]
fn credit_is_asked_for_again_while_it_is_missing() {
    let (mut muxer, token, program) = open();
    muxer.from_guest(
        &Header {
            buf_alloc: 0,
            ..packet(Op::CreditUpdate, 1, 8000)
        },
        &[],
    );
    program.borrow_mut().out.extend(b"abcd");
    muxer.event(token, true, false, false);
    assert_eq!(drain(&mut muxer), [(Op::CreditRequest, 1)]);
    muxer.from_guest(
        &Header {
            buf_alloc: 0,
            ..packet(Op::CreditUpdate, 1, 8000)
        },
        &[],
    );
    assert_eq!(drain(&mut muxer), []);
    muxer.tick(muxer.deadline().unwrap());
    assert_eq!(drain(&mut muxer), [(Op::CreditRequest, 1)]);
    muxer.from_guest(&packet(Op::CreditRequest, 1, 8000), &[]);
    assert_eq!(
        drain(&mut muxer),
        [(Op::CreditUpdate, 1), (Op::Rw, 1)],
        "and it is told when it asks"
    );
}

#[test]
fn a_busy_program_is_called_again_until_it_is_too_late() {
    let mut muxer = muxer(&[8000]);
    muxer.host.busy.insert(8000);
    muxer.from_guest(&packet(Op::Request, 1, 8000), &[]);
    muxer.from_guest(&packet(Op::Request, 2, 8000), &[]);
    muxer.tick(muxer.deadline().unwrap());
    assert_eq!(drain(&mut muxer), []);
    muxer.from_guest(&shutdown(Shut::BOTH), &[]);
    assert_eq!(drain(&mut muxer), [(Op::Rst, 1)], "the guest gave up");
    muxer.tick(Limits::default().connect_time);
    assert_eq!(drain(&mut muxer), [(Op::Rst, 2)]);
    muxer.from_guest(&packet(Op::Request, 3, 8000), &[]);
    muxer.host.busy.clear();
    muxer.tick(muxer.deadline().unwrap());
    assert_eq!(drain(&mut muxer), [(Op::Response, 3)]);
}

#[test]
fn a_program_calls_the_guest() {
    let mut muxer = muxer(&[]);
    let program = call(&mut muxer, b"CONN");
    assert_eq!(drain(&mut muxer), []);
    program.borrow_mut().out.extend(b"ECT 5000\nearly");
    let token = muxer.host.taken[0];
    muxer.event(token, true, false, false);
    let request = next(&mut muxer);
    assert_eq!(
        (request.op, request.src_cid, request.dst_port),
        (Op::Request as u16, 3, 5000)
    );
    assert!(
        !muxer.has_output(),
        "nothing is sent before the guest has answered"
    );
    let local = request.src_port;
    muxer.from_guest(&packet(Op::Response, 5000, local), &[]);
    assert_eq!(program.borrow().got, format!("OK {local}\n").as_bytes());
    assert_eq!(drain(&mut muxer), [(Op::Rw, 5000)]);

    let refused = call(&mut muxer, b"CONNECT 5001\n");
    let request = next(&mut muxer);
    assert_ne!(request.src_port, local);
    muxer.from_guest(&packet(Op::Rst, 5001, request.src_port), &[]);
    assert!(refused.borrow().dropped && refused.borrow().got.is_empty());

    let silent = call(&mut muxer, b"CONNECT 5002\n");
    let request = next(&mut muxer);
    muxer.tick(Limits::default().connect_time);
    assert!(silent.borrow().dropped);
    muxer.from_guest(&packet(Op::Response, 5002, request.src_port), &[]);
    assert_eq!(drain(&mut muxer), [(Op::Rst, 5002)], "too late");
}

#[test]
fn a_program_that_says_nothing_sensible_is_dropped() {
    let mut muxer = muxer(&[]);
    assert!(call(&mut muxer, b"HELLO\n").borrow().dropped);
    let gone = call(&mut muxer, b"");
    gone.borrow_mut().ended = true;
    muxer.event(muxer.host.taken[1], true, true, true);
    assert!(gone.borrow().dropped);
    let silent = call(&mut muxer, b"CONNECT 1");
    muxer.tick(Duration::from_millis(4999));
    assert!(!silent.borrow().dropped);
    muxer.tick(HELLO_TIME);
    assert!(silent.borrow().dropped);
    assert_eq!((muxer.stats().open, muxer.has_output()), (0, false));
}

#[test]
fn connections_are_bounded() {
    let mut muxer = muxer(&[8000]);
    muxer.limits.connections = 2;
    for port in 1..=3 {
        muxer.from_guest(&packet(Op::Request, port, 8000), &[]);
    }
    assert_eq!(
        drain(&mut muxer),
        [(Op::Rst, 3), (Op::Response, 1), (Op::Response, 2)]
    );
    assert!(call(&mut muxer, b"CONNECT 1\n").borrow().dropped);
}

#[test]
fn a_busy_connection_does_not_starve_another() {
    let mut muxer = muxer(&[8000]);
    for port in 1..=3 {
        muxer.from_guest(&packet(Op::Request, port, 8000), &[]);
    }
    drain(&mut muxer);
    for (_, token, program) in std::mem::take(&mut muxer.host.called) {
        program.borrow_mut().out.extend([0; 300]);
        muxer.event(token, true, false, false);
    }
    let ports: Vec<_> = (0..9)
        .map(|_| muxer.to_guest(&mut [0; 100]).unwrap().dst_port)
        .collect();
    assert_eq!(ports, [1, 2, 3, 1, 2, 3, 1, 2, 3]);
}

#[test]
fn push_back_is_only_on_demand() {
    let mut muxer = muxer(&[]);
    (0..100).for_each(|port| muxer.from_guest(&packet(Op::Request, port, 1), &[]));
    assert!(!muxer.pushes_back());
    muxer.limits.push_back = Some(100);
    assert!(muxer.pushes_back());
    drain(&mut muxer);
    assert!(!muxer.pushes_back());
}
