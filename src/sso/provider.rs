//! The provider: people are sent to it and come back with a code, which buys an ID token. That is
//! believed when its signature, issuer, audience, time and nonce prove it (OpenID Connect Core 3.1.3.7).

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use openidconnect::core::{
    CoreAuthDisplay, CoreAuthPrompt, CoreAuthenticationFlow, CoreClientAuthMethod, CoreErrorResponseType,
    CoreGenderClaim, CoreJsonWebKey, CoreJweContentEncryptionAlgorithm, CoreJwsSigningAlgorithm,
    CoreRevocableToken, CoreRevocationErrorResponse, CoreTokenIntrospectionResponse, CoreTokenType,
};
use openidconnect::{
    AccessToken, AccessTokenHash, AdditionalClaims, AuthType, AuthorizationCode, ClaimsVerificationError,
    ClientId, ClientSecret, CsrfToken, EmptyExtraTokenFields, EndpointMaybeSet, EndpointNotSet, EndpointSet,
    IdToken, IdTokenClaims, IdTokenFields, Nonce, OAuth2TokenResponse, PkceCodeChallenge, PkceCodeVerifier,
    RedirectUrl, RequestTokenError, Scope, SignatureVerificationError, StandardErrorResponse,
    StandardTokenResponse, SubjectIdentifier, TokenResponse, UserInfoClaims,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use url::Url;

use super::discovery::{Discovery, Found, down, odd, odd_about_somebody};
use super::{CALLBACK, Failure, Purpose, Trip, Visitor};
use crate::config::{Config, Given, Sso};

/// How far the provider's clock may be behind ours, seconds.
const SKEW: i64 = 60;
/// The longest id of a person that is kept, bytes; the standard allows 255.
const LONGEST_SUBJECT: usize = 1024;

const USED_UP: &str = "This login was used already, or it took too long. Begin again.";
const NO_PROOF: &str = "What the single sign-on sent does not prove who you are, so it was refused.";
const NOT_FRESH: &str = "The single sign-on did not ask you to log in again, so this confirms nothing.";

/// Signatures that only the provider can make: never `none`, and never those with a shared secret.
const SIGNATURES: [CoreJwsSigningAlgorithm; 9] = [
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha384,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha512,
    CoreJwsSigningAlgorithm::RsaSsaPssSha256,
    CoreJwsSigningAlgorithm::RsaSsaPssSha384,
    CoreJwsSigningAlgorithm::RsaSsaPssSha512,
    CoreJwsSigningAlgorithm::EcdsaP256Sha256,
    CoreJwsSigningAlgorithm::EcdsaP384Sha384,
    CoreJwsSigningAlgorithm::EdDsa,
];

/// Every claim that the standard does not name; groups are among them.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Others(Map<String, Value>);
impl AdditionalClaims for Others {}

type Token = IdToken<Others, CoreGenderClaim, CoreJweContentEncryptionAlgorithm, CoreJwsSigningAlgorithm>;
type Claims = IdTokenClaims<Others, CoreGenderClaim>;
type Fields = IdTokenFields<
    Others,
    EmptyExtraTokenFields,
    CoreGenderClaim,
    CoreJweContentEncryptionAlgorithm,
    CoreJwsSigningAlgorithm,
>;
type Client = openidconnect::Client<
    Others,
    CoreAuthDisplay,
    CoreGenderClaim,
    CoreJweContentEncryptionAlgorithm,
    CoreJsonWebKey,
    CoreAuthPrompt,
    StandardErrorResponse<CoreErrorResponseType>,
    StandardTokenResponse<Fields, CoreTokenType>,
    CoreTokenIntrospectionResponse,
    CoreRevocableToken,
    CoreRevocationErrorResponse,
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointMaybeSet,
    EndpointMaybeSet,
>;

/// The provider of the settings; cheap to clone.
#[derive(Clone, Debug)]
pub struct Provider(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    settings: Sso,
    redirect: RedirectUrl,
    discovery: Discovery,
}

impl Provider {
    /// The provider that is set, if any. Asks it nothing.
    pub fn new(config: &Config) -> Option<Self> {
        let settings = config.sso.clone()?;
        let redirect = RedirectUrl::from_url(config.public_url.join(CALLBACK).ok()?);
        let discovery = Discovery::new(&settings.issuer);
        Some(Self(Arc::new(Inner { settings, redirect, discovery })))
    }

    /// What people call it.
    pub fn name(&self) -> &str {
        &self.0.settings.name
    }

    /// What it calls itself.
    pub fn issuer(&self) -> &str {
        &self.0.settings.issuer
    }

    /// What the person's groups give here.
    pub fn given(&self, visitor: &Visitor) -> Given {
        self.0.settings.given_by(&visitor.groups)
    }

    /// Where to send somebody, and what to keep until they come back.
    pub async fn begin(&self, purpose: Purpose) -> Result<(Url, Trip), Failure> {
        let client = self.client(&*self.0.discovery.found().await?);
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let flow = CoreAuthenticationFlow::AuthorizationCode;
        // `openid` is among the scopes already
        let client = client.disable_openid_scope();
        let mut request = client
            .authorize_url(flow, CsrfToken::new_random, Nonce::new_random)
            .add_scopes(self.0.settings.scopes.iter().cloned().map(Scope::new))
            .set_pkce_challenge(challenge);
        if matches!(purpose, Purpose::Confirm { .. }) {
            request = request.add_prompt(CoreAuthPrompt::Login).set_max_age(Duration::ZERO);
        }
        let (url, state, nonce) = request.url();
        let trip = Trip {
            state: state.into_secret(),
            nonce: nonce.secret().clone(),
            verifier: verifier.into_secret(),
            began: Timestamp::now().as_second(),
            purpose,
        };
        Ok((url, trip))
    }

    /// Who it is that came back with a code.
    pub async fn finish(&self, trip: &Trip, code: String) -> Result<Visitor, Failure> {
        let found = self.0.discovery.found().await?;
        let mut client = self.client(&found);
        let tokens = client
            .exchange_code(AuthorizationCode::new(code))
            .map_err(|error| odd(&error))?
            .set_pkce_verifier(PkceCodeVerifier::new(trip.verifier.clone()))
            .request_async(&found.http)
            .await
            .map_err(|error| match &error {
                RequestTokenError::ServerResponse(answer)
                    if *answer.error() == CoreErrorResponseType::InvalidGrant =>
                {
                    tracing::debug!(%error, "a code was refused");
                    Failure::Refused(USED_UP)
                }
                // its text may hold more than the log may
                RequestTokenError::ServerResponse(answer) => {
                    tracing::warn!(error = %answer.error(), "the single sign-on refuses us");
                    Failure::Unavailable(super::ODD)
                }
                RequestTokenError::Request(silence) => down(silence),
                other => odd_about_somebody(other),
            })?;
        let token = tokens.id_token().ok_or_else(|| refused("there is no ID token"))?;
        let nonce = Nonce::new(trip.nonce.clone());
        let mut claims = token.claims(&verifier(&client), &nonce);
        if let Err(ClaimsVerificationError::SignatureVerification(
            SignatureVerificationError::NoMatchingKey,
        )) = claims
        {
            client = self.client(&*self.0.discovery.newer_than(Some(&found)).await?);
            claims = token.claims(&verifier(&client), &nonce);
        }
        let claims = claims.map_err(|error| {
            tracing::debug!(%error, "an ID token was refused");
            refused(&reason(&error))
        })?;
        self.check(trip, claims)?;
        check_access_token(&client, token, claims, tokens.access_token())?;
        let groups = match self.groups(claims.additional_claims()) {
            Some(groups) => groups,
            None => self.asked_groups(&found, &client, claims.subject(), tokens.access_token()).await?,
        };
        let names = [
            claims.preferred_username().map(|name| name.as_str()),
            claims.email().map(|email| email.as_str()),
        ];
        Ok(Visitor {
            subject: claims.subject().as_str().to_owned(),
            names: names
                .into_iter()
                .flatten()
                .chain([claims.subject().as_str()])
                .map(str::to_owned)
                .collect(),
            groups,
            authenticated: claims.auth_time().map(|at| at.timestamp()),
        })
    }

    fn client(&self, found: &Found) -> Client {
        let Sso { client_id, client_secret, .. } = &self.0.settings;
        let secret = client_secret.clone().map(ClientSecret::new);
        let methods = found.metadata.token_endpoint_auth_methods_supported();
        // basic authentication is the default, and what is meant where nothing is said
        let basic = methods.is_none_or(|methods| methods.contains(&CoreClientAuthMethod::ClientSecretBasic));
        Client::from_provider_metadata(found.metadata.clone(), ClientId::new(client_id.clone()), secret)
            .set_auth_type(if basic { AuthType::BasicAuth } else { AuthType::RequestBody })
            .set_redirect_uri(self.0.redirect.clone())
    }

    /// What the library leaves to us.
    fn check(&self, trip: &Trip, claims: &Claims) -> Result<(), Failure> {
        if claims.authorized_party().is_some_and(|party| party.as_str() != self.0.settings.client_id) {
            return Err(refused("it was made for another client"));
        }
        let subject = claims.subject().as_str();
        if subject.is_empty() || subject.len() > LONGEST_SUBJECT || subject.contains('\0') {
            return Err(refused("it has no subject that can be kept"));
        }
        let fresh = claims.auth_time().is_some_and(|at| at.timestamp() >= trip.began - SKEW);
        if matches!(trip.purpose, Purpose::Confirm { .. }) && !fresh {
            return Err(Failure::Refused(NOT_FRESH));
        }
        Ok(())
    }

    /// The groups, where the claim is there. A claim of one group may be a text.
    fn groups(&self, claims: &Others) -> Option<Vec<String>> {
        let name = self.0.settings.groups_claim.as_str();
        let nested = || {
            let mut parts = name.split('.');
            let first = claims.0.get(parts.next()?)?;
            parts.try_fold(first, |value, part| value.get(part))
        };
        match claims.0.get(name).or_else(nested)? {
            Value::String(group) => Some(vec![group.clone()]),
            Value::Array(groups) => {
                Some(groups.iter().filter_map(|group| group.as_str().map(str::to_owned)).collect())
            }
            _ => Some(Vec::new()),
        }
    }

    /// Some providers list groups at their UserInfo endpoint only.
    async fn asked_groups(
        &self,
        found: &Found,
        client: &Client,
        subject: &SubjectIdentifier,
        token: &AccessToken,
    ) -> Result<Vec<String>, Failure> {
        let Ok(request) = client.user_info(token.clone(), Some(subject.clone())) else {
            return Ok(Vec::new());
        };
        let claims: UserInfoClaims<Others, CoreGenderClaim> =
            request.request_async(&found.http).await.map_err(|error| match &error {
                openidconnect::UserInfoError::Request(silence) => down(silence),
                other => odd_about_somebody(other),
            })?;
        Ok(self.groups(claims.additional_claims()).unwrap_or_default())
    }
}

fn verifier(client: &Client) -> openidconnect::IdTokenVerifier<'_, CoreJsonWebKey> {
    client.id_token_verifier().set_allowed_algs(SIGNATURES)
}

/// The access token is the one that the ID token was made with.
fn check_access_token(
    client: &Client,
    token: &Token,
    claims: &Claims,
    access: &AccessToken,
) -> Result<(), Failure> {
    let Some(expected) = claims.access_token_hash() else {
        return Ok(());
    };
    let verifier = verifier(client);
    let (Ok(algorithm), Ok(key)) = (token.signing_alg(), token.signing_key(&verifier)) else {
        return Ok(());
    };
    match AccessTokenHash::from_token(access, algorithm, key) {
        Ok(actual) if actual != *expected => Err(refused("its access token is another one")),
        _ => Ok(()),
    }
}

/// Why, for the log, without what the token says of a person.
fn reason(error: &ClaimsVerificationError) -> String {
    let reason = match error {
        ClaimsVerificationError::Expired(_) => "it has expired; are both clocks right?",
        ClaimsVerificationError::InvalidAudience(_) => "it was made for another client",
        ClaimsVerificationError::InvalidIssuer(_) => "it is another issuer's",
        ClaimsVerificationError::InvalidNonce(_) => "it belongs to another login",
        ClaimsVerificationError::SignatureVerification(error) => return error.to_string(),
        ClaimsVerificationError::Unsupported(what) => return format!("not supported: {what}"),
        _ => "it does not fit",
    };
    reason.to_owned()
}

fn refused(why: &str) -> Failure {
    tracing::warn!(why, "an ID token was refused");
    Failure::Refused(NO_PROOF)
}
