//! Which scopes a token carries, by the name of its set (contract, section 5).

/// A named set of scopes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ScopeSet {
    /// Everything an operator does.
    #[default]
    Admin,
    /// Installing modules.
    Install,
    /// Starting, stopping and logs.
    Start,
    /// Exposing the box.
    Expose,
    /// Tokens, and looking at modules.
    Auth,
    /// Vaults.
    Vault,
}

impl ScopeSet {
    /// All of them.
    pub const ALL: [ScopeSet; 6] = [
        ScopeSet::Admin,
        ScopeSet::Install,
        ScopeSet::Start,
        ScopeSet::Expose,
        ScopeSet::Auth,
        ScopeSet::Vault,
    ];

    /// Its name, as in `pa_scope_set`.
    pub fn name(self) -> &'static str {
        match self {
            ScopeSet::Admin => "admin",
            ScopeSet::Install => "install",
            ScopeSet::Start => "start",
            ScopeSet::Expose => "expose",
            ScopeSet::Auth => "auth",
            ScopeSet::Vault => "vault",
        }
    }

    /// The set of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|set| set.name() == name)
    }

    /// Its scopes, separated by spaces.
    pub fn scopes(self) -> &'static str {
        match self {
            ScopeSet::Admin => {
                "hub:admin parachute:host:admin parachute:host:install parachute:host:start \
                 parachute:host:expose parachute:host:auth parachute:host:vault vault:admin \
                 scribe:admin channel:send"
            }
            ScopeSet::Install => "parachute:host:install vault:read",
            ScopeSet::Start => "parachute:host:start",
            ScopeSet::Expose => "parachute:host:expose",
            ScopeSet::Auth => "parachute:host:auth",
            ScopeSet::Vault => "parachute:host:vault",
        }
    }
}
