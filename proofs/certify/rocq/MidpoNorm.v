(* MidpoNorm.v -- normalisability: which priors have a finite normaliser on a
   countable response set.  Standard library only.                           *)

From Coq Require Import Reals Lra Lia List.
From Midpo Require Import Midpo MidpoKL.
Open Scope R_scope.

(** Responses are enumerated by nat; [Sums f v]: the series of f converges to v. *)
Definition Sums (f : nat -> R) (v : R) := Un_cv (fun n => sumn n f) v.

Lemma sumn_le n f g : (forall t, f t <= g t) -> sumn n f <= sumn n g.
Proof. intro H. induction n; simpl; [lra | pose proof (H n); lra]. Qed.

Lemma sumn_le_limit f v n : (forall t, 0 <= f t) -> Sums f v -> sumn n f <= v.
Proof.
  intros P H. apply (growing_ineq (fun n => sumn n f) v).
  - intro k. simpl. pose proof (P k). lra.
  - exact H.
Qed.

Lemma sums_bounded f B : (forall t, 0 <= f t) -> (forall n, sumn n f <= B) ->
  exists v, Sums f v /\ 0 <= v <= B.
Proof.
  intros P H.
  destruct (growing_cv (fun n => sumn n f)) as [v Hv].
  - intro k. simpl. pose proof (P k). lra.
  - exists B. intros u [n ->]. apply H.
  - exists v. split; [exact Hv |]. split.
    + pose proof (sumn_le_limit f v 0 P Hv). simpl in *. lra.
    + apply (Rle_cv_lim (Un := fun n => sumn n f) (Vn := fun _ => B) (l1 := v) (l2 := B)); auto.
      intros e He. exists 0%nat. intros. unfold R_dist. rewrite Rminus_diag_eq, Rabs_R0; auto.
Qed.

(** Domination by a convergent series. *)
Lemma sums_dominated f g G : (forall t, 0 <= f t <= g t) -> Sums g G ->
  exists v, Sums f v /\ 0 <= v <= G.
Proof.
  intros H HG. apply sums_bounded; [intro; apply H |]. intro n.
  apply Rle_trans with (sumn n g); [apply sumn_le; intro; apply H |].
  apply sumn_le_limit; auto. intro t. destruct (H t). lra.
Qed.

(** A sub-probability prior: zeta <= ref pointwise gives Z <= 1.  This covers
    DPO (equality), R-DPO with beta >= 0, TDPO, and H-DPO with eta <= 1.     *)
Section Below.
  Variables (ref pi kl len : nat -> R).
  Hypothesis ref_pos : forall y, 0 < ref y.
  Hypothesis ref_one : Sums ref 1.

  Lemma damp y d : 0 <= d -> 0 <= ref y * exp (- d) <= ref y.
  Proof.
    intro D. pose proof (ref_pos y). pose proof (exp_pos (- d)).
    assert (exp (- d) <= 1).
    { destruct D as [D | <-]; [| rewrite Ropp_0, exp_0; lra].
      left. rewrite <- exp_0. apply exp_increasing. lra. }
    split; [apply Rmult_le_pos; lra |].
    apply (Rmult_le_compat_l (ref y)) in H1; lra.
  Qed.

  Theorem rdpo_normalisable beta : 0 <= beta -> (forall y, 0 <= len y) ->
    exists Z, Sums (fun y => ref y * exp (- (beta * len y))) Z /\ 0 <= Z <= 1.
  Proof.
    intros B L. apply sums_dominated with ref; auto. intro y. apply damp.
    apply Rmult_le_pos; auto.
  Qed.

  Theorem tdpo_normalisable : (forall y, 0 <= kl y) ->
    exists Z, Sums (fun y => ref y * exp (- kl y)) Z /\ 0 <= Z <= 1.
  Proof. intro K. apply sums_dominated with ref; auto. intro y. now apply damp. Qed.

  Theorem hdpo_normalisable eta : eta <= 1 -> (forall y, 0 < pi y <= 1) ->
    exists Z, Sums (fun y => ref y * Rpower (pi y) (1 - eta)) Z /\ 0 <= Z <= 1.
  Proof.
    intros E P. apply sums_dominated with ref; auto. intro y. unfold Rpower.
    replace ((1 - eta) * ln (pi y)) with (- ((1 - eta) * - ln (pi y))) by ring.
    apply damp. apply Rmult_le_pos; [lra |]. destruct (P y) as [P0 P1].
    pose proof (ln_le_sub _ P0). lra.
  Qed.
End Below.

(** SimPO.  For any positive c and any length n >= 1,
      p^(1-1/n) <= c p + c c^(-n).
    With c = 2V this sums to at most 4V over all sequences over V tokens.    *)
Lemma simpo_pointwise p c n : 0 < p -> 0 < c -> 1 <= n ->
  Rpower p (1 - 1 / n) <= c * p + c * Rpower c (- n).
Proof.
  intros P C N.
  assert (Pp : 0 < c * p) by now apply Rmult_lt_0_compat.
  assert (Pc : 0 < c * Rpower c (- n)).
  { apply Rmult_lt_0_compat; [exact C | apply exp_pos]. }
  assert (mono : forall a b, a <= b -> exp a <= exp b).
  { intros a b [h | ->]; [left; now apply exp_increasing | right; reflexivity]. }
  destruct (Rle_dec (- n * ln c) (ln p)) as [H | H].
  - apply Rle_trans with (c * p); [| lra].
    rewrite <- (exp_ln (c * p)) by exact Pp. unfold Rpower. apply mono.
    rewrite ln_mult by assumption.
    assert (Q : - ln c <= ln p / n).
    { apply Rmult_le_reg_l with n; [lra |]. field_simplify; lra. }
    replace ((1 - 1 / n) * ln p) with (ln p - ln p / n) by (field; lra). lra.
  - apply Rle_trans with (c * Rpower c (- n)); [| lra].
    rewrite <- (exp_ln (c * Rpower c (- n))) by exact Pc. unfold Rpower at 1. apply mono.
    rewrite ln_mult by (auto; apply exp_pos). unfold Rpower. rewrite ln_exp.
    replace (ln c + - n * ln c) with ((1 - 1 / n) * (- n * ln c)) by (field; lra).
    apply Rmult_le_compat_l; [| lra].
    assert (1 / n <= 1); [| lra].
    apply Rmult_le_reg_l with n; [lra |]. field_simplify; lra.
Qed.

Section SimPO.
  Context {Y : Type}.
  Variables (V : nat) (ys : nat -> list Y) (pi : Y -> R).
  (** [ys k]: the responses with k+1 tokens over a vocabulary of V tokens *)
  Hypothesis V_pos : (0 < V)%nat.
  Hypothesis few : forall k, (length (ys k) <= V ^ (S k))%nat.
  Hypothesis pi_pos : forall y, 0 < pi y.
  Hypothesis pi_mass : forall N, sumn N (fun k => suml (ys k) pi) <= 1.
  (** [B]: the bonus of the prior, +-gamma/(2 alpha); any bounded one will do *)
  Variables (B : Y -> R) (M : R).
  Hypothesis B_bound : forall y, B y <= M.
  Definition simpo_level k :=
    suml (ys k) (fun y => Rpower (pi y) (1 - 1 / INR (S k)) * exp (B y)).

  Lemma suml_const {A} (l : list A) c : suml l (fun _ => c) = INR (length l) * c.
  Proof.
    induction l as [|a l IH]; [simpl; ring |].
    change (length (a :: l)) with (S (length l)). rewrite S_INR. simpl. rewrite IH. ring.
  Qed.

  Lemma level_bound k :
    simpo_level k <= exp M * (2 * INR V * suml (ys k) pi + 2 * INR V * (/ 2) ^ (S k)).
  Proof.
    assert (Vp : 0 < INR V) by (apply lt_0_INR; exact V_pos).
    set (c := 2 * INR V). assert (C : 0 < c) by (unfold c; lra).
    apply Rle_trans with
      (suml (ys k) (fun y => exp M * (c * pi y + c * Rpower c (- INR (S k))))).
    - apply suml_le. intro y. rewrite (Rmult_comm (exp M)). apply Rmult_le_compat.
      + left. apply exp_pos.
      + left. apply exp_pos.
      + apply simpo_pointwise; auto. rewrite S_INR. pose proof (pos_INR k). lra.
      + destruct (B_bound y) as [h | ->]; [left; now apply exp_increasing | right; reflexivity].
    - rewrite suml_scal. apply Rmult_le_compat_l; [left; apply exp_pos |].
      rewrite suml_plus, suml_scal, suml_const. apply Rplus_le_compat_l.
      assert (E : Rpower c (- INR (S k)) = / c ^ S k).
      { rewrite Rpower_Ropp, Rpower_pow; auto. }
      rewrite E.
      assert (L : INR (length (ys k)) <= INR V ^ S k).
      { rewrite <- pow_INR. apply le_INR, few. }
      assert (P : 0 < c ^ S k) by now apply pow_lt.
      assert (Q : (/ 2) ^ S k = INR V ^ S k * / c ^ S k).
      { unfold c. rewrite Rpow_mult_distr, pow_inv.
        assert (INR V ^ S k <> 0) by (apply pow_nonzero; lra).
        assert (2 ^ S k <> 0) by (apply pow_nonzero; lra).
        field. split; assumption. }
      rewrite Q.
      replace (INR (length (ys k)) * (c * / c ^ S k))
        with (c * (INR (length (ys k)) * / c ^ S k)) by ring.
      apply Rmult_le_compat_l; [lra |]. apply Rmult_le_compat_r; [| exact L].
      left. now apply Rinv_0_lt_compat.
  Qed.

  Lemma half_sum N : sumn N (fun k => (/ 2) ^ S k) = 1 - (/ 2) ^ N.
  Proof.
    induction N; [simpl; ring |].
    change (sumn (S N) (fun k => (/ 2) ^ S k))
      with (sumn N (fun k => (/ 2) ^ S k) + (/ 2) ^ S N).
    rewrite IHN. simpl. lra.
  Qed.

  (** SimPO's prior is always normalisable: sum over ALL responses <= 4 V e^M. *)
  Theorem simpo_normalisable :
    exists Z, Sums simpo_level Z /\ 0 <= Z <= exp M * (4 * INR V).
  Proof.
    assert (Vp : 0 < INR V) by (apply lt_0_INR; exact V_pos).
    apply sums_bounded.
    - intro k. apply suml_nonneg. intro y. left. apply Rmult_lt_0_compat; apply exp_pos.
    - intro N. apply Rle_trans with
        (sumn N (fun k => exp M * (2 * INR V * suml (ys k) pi + 2 * INR V * (/ 2) ^ (S k)))).
      + apply sumn_le. intro k. apply level_bound.
      + rewrite sumn_scal. apply Rmult_le_compat_l; [left; apply exp_pos |].
        rewrite sumn_plus, !sumn_scal, half_sum.
        assert (0 < (/ 2) ^ N) by (apply pow_lt; lra).
        pose proof (pi_mass N).
        assert (2 * INR V * sumn N (fun k => suml (ys k) pi) <= 2 * INR V * 1)
          by (apply Rmult_le_compat_l; lra).
        assert (2 * INR V * (1 - (/ 2) ^ N) <= 2 * INR V * 1)
          by (apply Rmult_le_compat_l; lra).
        lra.
  Qed.
End SimPO.

(** Token-level priors, one step (weights that depend on the prefix only).
    SparsePO: the step mass of pi^(1-mu) ref^mu exp(-d) is at most 1.
    TIS-DPO: the step mass of pi (ref/pi)^w exp(w KL(pi||ref)) is at least 1, so its
    normaliser can only be finite thanks to bounded lengths (or a hypothesis).        *)
Section Step.
  Context {V : Type}.
  Variables (vocab : list V) (pi ref : V -> R).
  Hypothesis pi_pos : forall v, 0 < pi v.
  Hypothesis ref_pos : forall v, 0 < ref v.
  Hypothesis pi_one : suml vocab pi = 1.
  Hypothesis ref_one : suml vocab ref = 1.

  Lemma weighted_am_gm a b m : 0 < a -> 0 < b -> 0 <= m <= 1 ->
    Rpower a (1 - m) * Rpower b m <= (1 - m) * a + m * b.
  Proof.
    intros A B M. set (x := Rpower a (1 - m) * Rpower b m).
    assert (X : 0 < x) by (unfold x; apply Rmult_lt_0_compat; apply exp_pos).
    assert (Lx : ln x = (1 - m) * ln a + m * ln b) by (unfold x; midpo).
    assert (La : ln (a / x) <= a / x - 1) by (apply ln_le_sub, Rdiv_lt_0_compat; auto).
    assert (Lb : ln (b / x) <= b / x - 1) by (apply ln_le_sub, Rdiv_lt_0_compat; auto).
    rewrite (ln_of _ _ (LogOf_div a x _ _ (LogOf_atom a A) (LogOf_atom x X))) in La.
    rewrite (ln_of _ _ (LogOf_div b x _ _ (LogOf_atom b B) (LogOf_atom x X))) in Lb.
    apply (Rmult_le_compat_l (1 - m)) in La; [| lra].
    apply (Rmult_le_compat_l m) in Lb; [| lra].
    assert (S : 0 <= (1 - m) * (a / x - 1) + m * (b / x - 1)).
    { apply Rle_trans with ((1 - m) * (ln a - ln x) + m * (ln b - ln x)); [| lra].
      rewrite Lx. right. ring. }
    apply (Rmult_le_compat_l x) in S; [| lra].
    replace (x * ((1 - m) * (a / x - 1) + m * (b / x - 1)))
      with ((1 - m) * a + m * b - x) in S by (field; lra). lra.
  Qed.

  Theorem sparsepo_step mu d : 0 <= mu <= 1 -> 0 <= d ->
    suml vocab (fun v => Rpower (pi v) (1 - mu) * Rpower (ref v) mu * exp (- d)) <= 1.
  Proof.
    intros M D.
    apply Rle_trans with (suml vocab (fun v => (1 - mu) * pi v + mu * ref v)).
    - apply suml_le. intro v.
      assert (T : 0 < Rpower (pi v) (1 - mu) * Rpower (ref v) mu)
        by (apply Rmult_lt_0_compat; apply exp_pos).
      assert (exp (- d) <= 1).
      { destruct D as [D | <-]; [| rewrite Ropp_0, exp_0; lra].
        left. rewrite <- exp_0. apply exp_increasing. lra. }
      pose proof (weighted_am_gm _ _ mu (pi_pos v) (ref_pos v) M).
      apply Rle_trans with (Rpower (pi v) (1 - mu) * Rpower (ref v) mu * 1);
        [apply Rmult_le_compat_l |]; lra.
    - rewrite suml_plus, !suml_scal, pi_one, ref_one. lra.
  Qed.

  Theorem tisdpo_step w :
    1 <= suml vocab (fun v => pi v * Rpower (ref v / pi v) w * exp (w * KL vocab pi ref)).
  Proof.
    set (k := KL vocab pi ref).
    apply Rle_trans with
      (suml vocab (fun v => (1 + w * k) * pi v + - w * (pi v * ln (pi v / ref v)))).
    - rewrite suml_plus, !suml_scal, pi_one. unfold k, KL. right. ring.
    - apply suml_le. intro v. unfold Rpower.
      rewrite Rmult_assoc, <- exp_plus.
      pose proof (exp_ineq1_le (w * ln (ref v / pi v) + w * k)) as E.
      apply (Rmult_le_compat_l (pi v)) in E; [| left; apply pi_pos].
      pose proof (pi_pos v). pose proof (ref_pos v).
      replace (ln (ref v / pi v)) with (- ln (pi v / ref v)) in * by midpo. lra.
  Qed.
End Step.
