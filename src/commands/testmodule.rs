//! `parachute __module`: a small HTTP service with the habits of good and bad modules, for the
//! demonstration and the tests. Not for people.

use crate::{
    context::Context,
    error::{Code, Error, Exit, Result},
};
use http_body_util::Full;
use hyper::{
    Request, Response, body::Bytes, body::Incoming, server::conn::http1, service::service_fn,
};
use hyper_util::rt::TokioIo;
use std::{convert::Infallible, io::Write, net::Ipv4Addr, time::Duration};
use tokio::{net::TcpListener, signal::unix};

/// A module for demonstrations and tests
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Milliseconds before it binds its port
    #[arg(long, default_value_t = 0)]
    bind_after: u64,
    /// Never binds its port
    #[arg(long)]
    never_bind: bool,
    /// What its health path answers
    #[arg(long, default_value_t = 200)]
    health_status: u16,
    /// Milliseconds after which it crashes
    #[arg(long)]
    crash_after: Option<u64>,
    /// A line that it writes when it begins; may be given several times
    #[arg(long)]
    say: Vec<String>,
    /// Does not end on SIGTERM
    #[arg(long)]
    ignore_term: bool,
}

/// Serves until a signal or its own end. Reads `PORT` as every module does.
pub async fn run(args: &Args, cx: &Context) -> Result<Exit> {
    let mut out = std::io::stdout();
    for line in &args.say {
        let _ = writeln!(out, "{line}");
    }
    let _ = out.flush();
    let mut term = unix::signal(unix::SignalKind::terminate()).map_err(|e| odd(&e.to_string()))?;
    let end = async {
        match args.crash_after {
            Some(ms) => tokio::time::sleep(Duration::from_millis(ms)).await,
            None => std::future::pending().await,
        }
    };
    tokio::pin!(end);
    let serving = serve(args, cx);
    tokio::pin!(serving);
    loop {
        tokio::select! {
            served = &mut serving => return served.map(|()| Exit::Success),
            () = &mut end => return Ok(Exit::Failed),
            _ = term.recv() => {
                let _ = writeln!(out, "told to end");
                if !args.ignore_term {
                    return Ok(Exit::Success);
                }
            }
        }
    }
}

async fn serve(args: &Args, cx: &Context) -> Result<()> {
    if args.never_bind {
        return std::future::pending().await;
    }
    let port = cx
        .var("PORT")
        .and_then(|p| p.to_str()?.parse::<u16>().ok())
        .ok_or_else(|| odd("PORT is not set to a port"))?;
    tokio::time::sleep(Duration::from_millis(args.bind_after)).await;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))
        .await
        .map_err(|e| {
            Error::new(
                Code::PortTaken,
                format!("cannot listen on port {port}: {}", crate::error::reason(&e)),
            )
        })?;
    let _ = writeln!(std::io::stdout(), "listening on port {port}");
    let status = args.health_status;
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            continue;
        };
        let answer = move |request: Request<Incoming>| async move {
            let mut response = Response::new(Full::new(Bytes::from_static(b"ok\n")));
            if request.uri().path() == "/health"
                && let Ok(code) = hyper::StatusCode::from_u16(status)
            {
                *response.status_mut() = code;
            }
            Ok::<_, Infallible>(response)
        };
        tokio::spawn(
            http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(answer)),
        );
    }
}

fn odd(said: &str) -> Error {
    Error::new(Code::Usage, said)
}
